// Theory of operation. The machine's packets leave its namespace by a veth, are forwarded by the
// host and masqueraded as the host's own. The rules live in one nft table of the machine's name, so
// taking them away is one command that can't touch anybody else's; nothing from outside may open a
// connection into the machine by that way. Where the kernel has no nf_tables, one iptables rule
// does it, kept in a file of the home for its removal.
//
// net.ipv4.ip_forward is switched on if it was off. That is remembered where other machines see it:
// by an empty chain of that name in the table, or as the comment of the iptables rule. A machine
// that starts while another one holds such a mark takes over the memory, and only the last one to
// leave switches forwarding off again.
#include "wsl-bridge/machine/sandbox/nat.h"

#include <sstream>

#include <linux/sched.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"

namespace slipway {
namespace {

constexpr auto kToolTimeout = std::chrono::seconds(10);
constexpr const char* kForward = "/proc/sys/net/ipv4/ip_forward";
constexpr const char* kWasOff = "slipway_switched_forwarding_on";

Result<std::string> tool(const char* program, std::vector<std::string> args, std::string input = "")
{
    Command command;
    command.program = program;
    command.args = std::move(args);
    command.input = std::move(input);
    return outputOf(command, kToolTimeout);
}

Result<> done(Result<std::string> output)
{
    if (!output) return tl::unexpected<Error>(std::move(output).error());
    return {};
}

bool rulesetSaysWeSwitchedForwarding()
{
    auto rules = tool("nft", {"list", "chains"});
    if (!rules) rules = tool("iptables", {"-w", "-t", "nat", "-S", "POSTROUTING"});
    return rules && rules->find(kWasOff) != std::string::npos;
}

bool forwardingIsOff()
{
    return readText(kForward).starts_with("0");
}

// Holds the comment of the rule and the subnet.
std::filesystem::path iptablesRecord(const Spec& spec)
{
    return spec.home.runDir() / "iptables-rule";
}

std::vector<std::string> masqueradeRule(const char* action, const Spec& spec,
                                        const std::string& record)
{
    std::istringstream words(record);
    std::string comment, subnet;
    words >> comment >> subnet;
    return {"-w", "-t",   "nat", action, "POSTROUTING",   "-m", "comment",   "--comment", comment,
            "-s", subnet, "!",   "-o",   spec.names.link, "-j", "MASQUERADE"};
}

Result<> addRules(const Spec& spec)
{
    bool weSwitchIt = forwardingIsOff() || rulesetSaysWeSwitchedForwarding();
    auto rules = fmt::format(
        "table ip {0} {{\n"
        " chain postrouting {{\n"
        "  type nat hook postrouting priority srcnat; policy accept;\n"
        "  ip saddr {1} oifname != \"{2}\" masquerade\n"
        " }}\n"
        " chain forward {{\n"
        "  type filter hook forward priority filter; policy accept;\n"
        "  oifname \"{2}\" ct state new drop\n"
        " }}\n"
        " {3}\n"
        "}}\n",
        spec.names.nftTable, spec.subnet.text(), spec.names.link,
        weSwitchIt ? fmt::format("chain {} {{ }}", kWasOff) : "");
    auto added = tool("nft", {"-f", "-"}, rules);
    if (!added) {
        auto record = fmt::format("{} {}", weSwitchIt ? kWasOff : "slipway", spec.subnet.text());
        TRY_VOID(writeText(iptablesRecord(spec), record));
        TRY_VOID(giveToFolderOwner(iptablesRecord(spec)));
        auto fallback = tool("iptables", masqueradeRule("-A", spec, record));
        if (!fallback) return done(std::move(added));
    }
    return weSwitchIt ? writeText(kForward, "1") : Result<>{};
}

}  // namespace

Result<> tryNat()
{
    return tryNamespaces(CLONE_NEWNET, []() -> Result<> {
        TRY_VOID(
            done(tool("ip", {"link", "add", "host", "type", "veth", "peer", "name", "machine"})));
        auto added = tool("nft", {"-f", "-"},
                          "table ip slipway {\n"
                          " chain postrouting {\n"
                          "  type nat hook postrouting priority srcnat; masquerade\n"
                          " }\n"
                          "}\n");
        if (added || tool("iptables", {"-w", "-t", "nat", "-A", "POSTROUTING", "-j", "MASQUERADE"}))
            return {};
        return done(std::move(added));
    });
}

Result<> tryRedirect(bool rootless)
{
    if (!isInstalled("nft")) return {};
    std::optional<UserMap> map;
    if (rootless) {
        TRY(map, userMapOfThisUser());
    }
    return tryNamespaces(
        CLONE_NEWNET,
        []() -> Result<> {
            return done(tool("nft", {"-f", "-"},
                             "table ip slipway {\n"
                             " chain prerouting {\n"
                             "  type filter hook prerouting priority mangle\n"
                             "  meta l4proto { tcp, udp } tproxy to :1\n"
                             " }\n"
                             "}\n"));
        },
        map);
}

Result<> connectByNat(const Spec& spec, pid_t pid)
{
    auto links = fmt::format(
        "link add {0} type veth peer name eth0 netns {1}\n"
        "addr add {2}/{3} dev {0}\n"
        "link set {0} up\n",
        spec.names.link, pid, spec.subnet.host(1), spec.subnet.prefix);
    TRY_VOID(done(tool("ip", {"-batch", "-"}, links)));
    return addRules(spec);
}

std::vector<std::string> disconnectNat(const Spec& spec)
{
    std::vector<std::string> removed;
    if (std::filesystem::exists("/sys/class/net/" + spec.names.link) &&
        tool("ip", {"link", "del", spec.names.link})) {
        removed.push_back("link " + spec.names.link);
    }
    bool weSwitched = rulesetSaysWeSwitchedForwarding();
    if (tool("nft", {"delete", "table", "ip", spec.names.nftTable})) {
        removed.push_back("nft table " + spec.names.nftTable);
    }
    auto record = readText(iptablesRecord(spec));
    if (!record.empty()) {
        if (tool("iptables", masqueradeRule("-D", spec, record))) {
            removed.push_back("iptables rule " + record);
        }
        std::filesystem::remove(iptablesRecord(spec));
    }
    if (weSwitched && !rulesetSaysWeSwitchedForwarding() && writeText(kForward, "0")) {
        removed.push_back("net.ipv4.ip_forward = 1");
    }
    return removed;
}

std::optional<std::string> forwardingDroppedBy()
{
    auto chains = tool("nft", {"list", "chains"});
    if (chains) {
        if (auto chain = droppingChain(*chains)) return chain;
    }
    // Asking iptables-legacy would load its table; where it holds one, it is listed here.
    if (readText("/proc/net/ip_tables_names").find("filter") == std::string::npos)
        return std::nullopt;
    auto legacy = tool("iptables-legacy", {"-w", "-S", "FORWARD"});
    if (legacy && legacy->starts_with("-P FORWARD DROP")) return "iptables-legacy chain FORWARD";
    return std::nullopt;
}

std::optional<std::string> droppingChain(const std::string& nftChains)
{
    std::istringstream lines(nftChains);
    std::string table, chain;
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string first, second, third;
        words >> first >> second >> third;
        if (first == "table") table = second + " " + third;
        if (first == "chain") chain = second;
        bool forwards = line.find("hook forward") != std::string::npos;
        if (forwards && line.find("policy drop") != std::string::npos &&
            (table.starts_with("ip ") || table.starts_with("inet "))) {
            return fmt::format("table {} chain {}", table, chain);
        }
    }
    return std::nullopt;
}

}  // namespace slipway
