// How users asked for ports: dockerd's own claims don't tell an address they named from none.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "wsl-bridge/engine/json_text.h"
#include "wsl-bridge/engine/kept_rows.h"

namespace slipway {

// One binding in HostConfig.PortBindings of a container's creation.
struct PortRequest {
    std::string hostAddress;    // Empty: none was named.
    std::string hostPort;       // "8080", a range "8000-8010"; empty: any.
    std::string containerPort;  // "80/tcp"

    bool operator==(const PortRequest&) const = default;
};

// Those of a creation's body that become a claim on all addresses, named or not.
std::vector<PortRequest> portRequestsIn(const JsonText& create);

// A claim names no container, as it comes before the container has started; so it is compared with
// what was asked for all containers that there are.
class PortRequests {
public:
    explicit PortRequests(std::filesystem::path dir) : m_rows(std::move(dir)) {}

    Result<> put(const std::string& container, const std::vector<PortRequest>& requests);
    std::uint64_t now() const { return m_rows.now(); }  // See KeptRows.
    void keepOnly(const std::set<std::string>& containers, std::uint64_t moment)
    {
        m_rows.keepOnly(containers, moment);
    }

    // Whether the user named `address`, which is 0.0.0.0 or ::, for that port. Requests for just
    // this host port count before those for a range or any. Where one container asked for the
    // address and another one for none, it is not named: the port is rather published too narrowly.
    bool names(const std::string& address, std::uint16_t hostPort,
               const std::string& containerPort) const;

private:
    KeptRows m_rows;
};

}  // namespace slipway
