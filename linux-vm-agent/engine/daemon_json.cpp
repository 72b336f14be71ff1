#include "linux-vm-agent/engine/daemon_json.h"

#include <fmt/format.h>

#include "linux-vm-agent/engine/address_pools.h"
#include "linux-vm-agent/engine/layout.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

namespace json = boost::json;

constexpr std::string_view kCgroupDriver = "native.cgroupdriver=";

json::object parseUsers(std::string_view users, std::vector<EngineNote>& notes)
{
    if (users.find_first_not_of(" \t\r\n") == std::string_view::npos) return {};
    auto ignored = [&notes](std::string why) {
        notes.push_back({why + "; the engine runs with its defaults",
                         "correct daemon.json, then run `slipway restart`"});
        return json::object{};
    };
    auto parsed = parseJson(users, "daemon.json");
    if (!parsed) return ignored(parsed.error().message);
    if (!parsed->is_object()) return ignored("daemon.json, line 1, column 1: expected an object");
    return std::move(parsed->as_object());
}

// Sets keys, and notes where the user wanted something else.
class Merge {
public:
    Merge(json::object users, std::vector<EngineNote>& notes)
        : m_keys(std::move(users)), m_notes(notes)
    {
    }

    void demand(std::string_view key, json::value value, std::string_view reason)
    {
        auto* theirs = m_keys.if_contains(key);
        if (theirs && *theirs != value) note(key, reason);
        m_keys[key] = std::move(value);
    }

    void propose(std::string_view key, json::value value)
    {
        if (!m_keys.contains(key)) m_keys[key] = std::move(value);
    }

    // A list of name=value: one name is ours, the others are kept.
    void demandOption(std::string_view key, std::string_view name, std::string_view value,
                      std::string_view reason)
    {
        auto ours = fmt::format("{}{}", name, value);
        json::array kept{json::value(ours)};
        auto* theirs = m_keys.if_contains(key);
        if (theirs && theirs->is_array()) {
            for (const json::value& option : theirs->as_array()) {
                bool same =
                    option.is_string() && std::string_view(option.as_string()).starts_with(name);
                if (!same) kept.push_back(option);
                if (same && std::string_view(option.as_string()) != ours) note(key, reason);
            }
        }
        m_keys[key] = std::move(kept);
    }

    bool isTrue(std::string_view key) const
    {
        auto* value = m_keys.if_contains(key);
        return value && value->is_bool() && value->as_bool();
    }

    std::string text() const { return json::serialize(m_keys); }

private:
    void note(std::string_view key, std::string_view reason)
    {
        m_notes.push_back({fmt::format("daemon.json: \"{}\" is not taken: {}", key, reason),
                           fmt::format("remove \"{}\" from daemon.json", key)});
    }

    json::object m_keys;
    std::vector<EngineNote>& m_notes;
};

json::array poolsOf(const std::vector<AddressPool>& pools)
{
    json::array list;
    for (const AddressPool& pool : pools)
        list.push_back(json::object{{"base", pool.base.text()}, {"size", pool.networkBits}});
    return list;
}

}  // namespace

DaemonJson daemonJson(std::string_view users, const EngineNeeds& needs)
{
    DaemonJson made;
    Merge merge(parseUsers(users, made.notes), made.notes);

    constexpr std::string_view layout = "Slipway's machine has a place of its own for it";
    merge.demand("hosts", json::array{fmt::format("unix://{}", kEngineSocket)},
                 "the engine is reached through Slipway's endpoint only");
    merge.demand("containerd", kContainerdSocket, "Slipway runs containerd itself");
    merge.demand("data-root", kEngineDataDir, layout);
    merge.demand("exec-root", "/run/docker", layout);
    merge.demand("pidfile", kEnginePidFile, layout);
    merge.demand("live-restore", !needs.inSwarm,
                 needs.inSwarm ? "it cannot be used in a swarm"
                               : "containers go on while Slipway restarts the engine");
    merge.demand("userland-proxy", true, "published ports need it to reach the host");
    merge.demand("userland-proxy-path", kPortProxy, "published ports need it to reach the host");
    merge.demandOption("exec-opts", kCgroupDriver, "cgroupfs", "the machine has no systemd");
    if (!needs.nat4) {
        merge.demand("iptables", false, "the kernel has neither iptables nor nftables");
        made.notes.push_back(
            {"the kernel has no address translation: containers reach each other and their ports "
             "reach the host, but they have no way out",
             "load the kernel's nf_nat and nf_tables (or iptable_nat) modules, then run `slipway "
             "restart`"});
    }
    if (!needs.nat6 && merge.isTrue("ip6tables"))
        merge.demand("ip6tables", false, "the kernel has no address translation for IPv6");
    if (!needs.hostGateway.empty())
        merge.propose("host-gateway-ip", json::string(needs.hostGateway));
    if (auto pools = addressPoolsBeside(needs.hostSubnets))
        merge.propose("default-address-pools", poolsOf(*pools));
    made.text = merge.text();
    return made;
}

}  // namespace slipway
