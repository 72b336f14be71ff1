#include "linux-vm-agent/engine/nat.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include <arpa/inet.h>
#include <net/route.h>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "shared/core/log.h"
#include "shared/process/child.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kToolLimit{5};
constexpr std::string_view kToolDir = "/usr/sbin";

// Listing a table succeeds on kernels that then refuse the rules, so try those.
constexpr std::string_view kTryRules =
    "*nat\n"
    ":SLIPWAY-PROBE - [0:0]\n"
    "-A SLIPWAY-PROBE -m addrtype --dst-type LOCAL -j RETURN\n"
    "-A SLIPWAY-PROBE -j MASQUERADE\n"
    "COMMIT\n";
constexpr std::string_view kForgetRules =
    "*nat\n"
    "-F SLIPWAY-PROBE\n"
    "-X SLIPWAY-PROBE\n"
    "COMMIT\n";

bool restore(const std::string& tool, std::string_view rules)
{
    Command command;
    command.program = fmt::format("{}/{}-restore", kToolDir, tool);
    command.args = {"--noflush"};
    command.input = std::string(rules);
    auto done = outputOf(command, kToolLimit);
    if (!done) log::debug("engine: {}", done.error().message);
    return done.has_value();
}

bool works(const std::string& tool)
{
    return restore(tool, kTryRules) && restore(tool, kForgetRules);
}

}  // namespace

Nat probeNat()
{
    if (works("iptables-legacy")) return {NatBackend::Legacy, works("ip6tables-legacy")};
    if (works("iptables-nft")) return {NatBackend::Nft, works("ip6tables-nft")};
    return {};
}

Result<> chooseIptables(NatBackend backend)
{
    namespace fs = std::filesystem;
    std::error_code failed;
    fs::create_directories(kEngineBinDir, failed);
    auto program = fmt::format("{}/xtables-{}-multi", kToolDir,
                               backend == NatBackend::Legacy ? "legacy" : "nft");
    for (std::string_view tool : {"iptables", "ip6tables"}) {
        fs::path link = fs::path(kEngineBinDir) / tool;
        fs::remove(link, failed);
        fs::create_symlink(program, link, failed);
        if (failed)
            return fail(Code::Unavailable,
                        fmt::format("link {}: {}", link.string(), failed.message()));
    }
    return {};
}

// Columns as in the kernel's net/ipv4/fib_trie.c (fib_route_seq_show): Iface Destination Gateway
// Flags …, addresses in hexadecimal as they lie in memory.
std::string defaultGateway()
{
    std::ifstream table("/proc/net/route");
    std::string line;
    std::getline(table, line);
    while (std::getline(table, line)) {
        std::istringstream columns(line);
        std::string interface;
        std::uint32_t destination = 0;
        in_addr gateway{};
        unsigned flags = 0;
        if (!(columns >> interface >> std::hex >> destination >> gateway.s_addr >> flags)) continue;
        if (destination != 0 || !(flags & RTF_GATEWAY)) continue;
        char text[INET_ADDRSTRLEN];
        return inet_ntop(AF_INET, &gateway, text, sizeof text);
    }
    return "";
}

}  // namespace slipway
