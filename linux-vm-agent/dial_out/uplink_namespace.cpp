#include "linux-vm-agent/dial_out/uplink_namespace.h"

#include <cerrno>
#include <filesystem>
#include <tuple>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include "shared/net/dns.h"
#include "shared/process/child.h"

namespace slipway {
namespace {

constexpr std::chrono::seconds kToolLimit{10};
constexpr const char* kName = "uplink";
constexpr const char* kFile = "/run/netns/uplink";
constexpr const char* kLink = "uplink0";  // The machine's end; the other is eth0.

Result<> tool(const char* program, std::vector<std::string> args, std::string input)
{
    Command command;
    command.program = program;
    command.args = std::move(args);
    command.input = std::move(input);
    TRY_VOID(outputOf(command, kToolLimit));
    return {};
}

Result<> inMachine(std::string commands)
{
    return tool("ip", {"-batch", "-"}, std::move(commands));
}

// Not by `ip -n`, which mounts a /sys of its own: an ordinary user's machine may not.
Result<> inUplink(std::vector<std::string> command, std::string input)
{
    command.insert(command.begin(), fmt::format("--net={}", kFile));
    return tool("nsenter", std::move(command), std::move(input));
}

Result<> make(const UplinkAddresses& addresses)
{
    TRY_VOID(
        inMachine(fmt::format("netns add {0}\n"
                              "link add {1} type veth peer name eth0 netns {0}\n"
                              "addr add {2}/{3} dev {1}\n"
                              "link set {1} up\n",
                              kName, kLink, addresses.machine, UplinkAddresses::kPrefix)));
    // What is marked is delivered here, whatever its address.
    return inUplink({"ip", "-batch", "-"}, fmt::format("addr add {}/{} dev eth0\n"
                                                       "link set eth0 up\n"
                                                       "link set lo up\n"
                                                       "rule add fwmark 1 lookup 100\n"
                                                       "route add local default dev lo table 100\n",
                                                       addresses.host, UplinkAddresses::kPrefix));
}

}  // namespace

Result<UplinkNamespace> UplinkNamespace::open(const UplinkAddresses& addresses)
{
    std::error_code ignored;
    bool made = std::filesystem::exists(fmt::format("/sys/class/net/{}", kLink), ignored);
    if (!made) {
        if (auto making = make(addresses); !making) {
            std::ignore = inMachine(fmt::format("netns del {}\n", kName));
            return tl::unexpected(making.error());
        }
    }
    Descriptor machine(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
    Descriptor uplink(::open(kFile, O_RDONLY | O_CLOEXEC));
    if (!machine || !uplink) return failErrno(fmt::format("open {}", kFile), errno);
    return UplinkNamespace(addresses, std::move(machine), std::move(uplink));
}

UplinkNamespace::UplinkNamespace(UplinkAddresses addresses, Descriptor machine, Descriptor uplink)
    : m_addresses(std::move(addresses)), m_machine(std::move(machine)), m_uplink(std::move(uplink))
{
}

Result<> UplinkNamespace::redirectTo(std::uint16_t port) const
{
    auto rules = fmt::format(
        "table ip slipway\n"
        "delete table ip slipway\n"
        "table ip slipway {{\n"
        " chain prerouting {{\n"
        "  type filter hook prerouting priority mangle; policy accept\n"
        "  iifname != eth0 accept\n"
        "  ip daddr {0} udp dport {1} accept\n"
        "  ip daddr {0} tcp dport {1} accept\n"
        "  meta l4proto {{ tcp, udp }} tproxy to :{2} meta mark set 1\n"
        " }}\n"
        "}}\n",
        m_addresses.host, dns::kPort, port);
    return inUplink({"nft", "-f", "-"}, rules);
}

// By the two halves of all addresses, which are stronger than any default route and leave it be.
Result<> UplinkNamespace::takeDefaultRoute(bool taken) const
{
    std::string commands;
    for (const char* half : {"0.0.0.0/1", "128.0.0.0/1"}) {
        commands +=
            taken ? fmt::format("route replace {} via {} dev {}\n", half, m_addresses.host, kLink)
                  : fmt::format("route flush exact {}\n", half);
    }
    return inMachine(commands);
}

Result<Descriptor> UplinkNamespace::bindTransparent(int type, const std::string& address,
                                                    std::uint16_t port) const
{
    auto what = fmt::format("bind {}:{} beyond the machine", address, port);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    if (::inet_pton(AF_INET, address.c_str(), &at.sin_addr) != 1) return failErrno(what, EINVAL);
    return within([&]() -> Result<Descriptor> {
        Descriptor socket(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        int on = 1;
        if (!socket || ::setsockopt(socket.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on) < 0 ||
            ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
            ::bind(socket.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) < 0)
            return failErrno(what, errno);
        return socket;
    });
}

UplinkNamespace::Inside::Inside(const UplinkNamespace& uplink) : m_uplink(uplink)
{
    CHECK(::setns(m_uplink.m_uplink.get(), CLONE_NEWNET) == 0);
}

UplinkNamespace::Inside::~Inside()
{
    CHECK(::setns(m_uplink.m_machine.get(), CLONE_NEWNET) == 0);
}

}  // namespace slipway
