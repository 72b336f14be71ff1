#include "wsl-bridge/engine/port_requests.h"

#include <algorithm>

#include "shared/core/number.h"

namespace slipway {
namespace {

// Whether "8000-8010", or nothing, includes the port.
bool includes(std::string_view range, unsigned port)
{
    if (range.empty() || range == "0") return true;
    auto first = numberIn<unsigned>(range.substr(0, range.find('-')));
    auto last = numberIn<unsigned>(range.substr(range.find('-') + 1));
    return first && last && *first <= port && port <= *last;
}

bool isAny(std::string_view address)
{
    return address == "0.0.0.0" || address == "::";
}

}  // namespace

std::vector<PortRequest> portRequestsIn(const JsonText& create)
{
    std::vector<PortRequest> requests;
    for (JsonSpan bindings : create.reach(create.root(), {"HostConfig", "PortBindings"}))
        for (auto& [port, list] : create.namedMembers(bindings)) {
            if (port.find('/') == std::string::npos) port += "/tcp";
            for (JsonSpan binding : create.elements(list)) {
                std::string address = create.stringIn(binding, "HostIp");
                if (address.empty() || isAny(address))
                    requests.push_back({address, create.stringIn(binding, "HostPort"), port});
            }
        }
    return requests;
}

Result<> PortRequests::put(const std::string& container, const std::vector<PortRequest>& requests)
{
    KeptRows::Rows rows;
    for (const PortRequest& request : requests)
        rows.push_back({request.hostAddress, request.hostPort, request.containerPort});
    return m_rows.put(container, std::move(rows));
}

bool PortRequests::names(const std::string& address, std::uint16_t hostPort,
                         const std::string& containerPort) const
{
    struct Counted {
        int named = 0;
        int unnamed = 0;
    };
    Counted exact;
    Counted within;
    m_rows.forEach([&](const KeptRows::Rows& rows) {
        for (const auto& [askedAddress, askedPort, askedContainerPort] : rows) {
            if (askedContainerPort != containerPort || !includes(askedPort, hostPort)) continue;
            Counted& counted = askedPort == std::to_string(hostPort) ? exact : within;
            if (askedAddress == address) ++counted.named;
            if (askedAddress.empty()) ++counted.unnamed;
        }
    });
    const Counted& decides = exact.named + exact.unnamed ? exact : within;
    return decides.named && !decides.unnamed;
}

}  // namespace slipway
