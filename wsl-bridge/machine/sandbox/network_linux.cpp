#include "wsl-bridge/machine/sandbox/network.h"

#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/nat.h"

namespace slipway {
namespace {

constexpr auto kSlirpReadyWithin = std::chrono::seconds(5);
constexpr int kSlirpReadyFd = 3;
constexpr int kSlirpExitFd = 4;

Result<pid_t> startSlirp(const Spec& spec, pid_t pid, const HoldPipe& hold)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return failErrno("pipe", errno);
    Descriptor ready(ends[0]);
    Descriptor readyWrite(ends[1]);
    Command command;
    command.program = "slirp4netns";
    command.args = {"--configure",
                    "--mtu=65520",
                    "--disable-host-loopback",
                    "--enable-seccomp",
                    "--cidr=" + spec.subnet.text(),
                    "--ready-fd=" + std::to_string(kSlirpReadyFd),
                    "--exit-fd=" + std::to_string(kSlirpExitFd),
                    std::to_string(pid),
                    "tap0"};
    command.fds = {{readyWrite.get(), kSlirpReadyFd}, {hold.watched.get(), kSlirpExitFd}};
    command.newSession = true;
    auto log = spec.home.logDir() / "slirp4netns.log";
    command.out = log;
    command.err = log;
    TRY(auto slirp, Child::start(command));
    readyWrite.reset();
    pollfd watched{ready.get(), POLLIN, 0};
    auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kSlirpReadyWithin).count();
    char byte = 0;
    if (::poll(&watched, 1, static_cast<int>(limit)) == 1 && ::read(ready.get(), &byte, 1) == 1) {
        return slirp.pid();
    }
    slirp.kill();
    slirp.wait();
    return fail(Code::FailedPrecondition, fmt::format("slirp4netns gave up, see {}", log.string()));
}

std::optional<Network> tryNat(const Spec& spec, pid_t pid, Notes& notes)
{
    if (auto connected = connectByNat(spec, pid); !connected) {
        disconnectNat(spec);
        notes.push_back({"no NAT: " + connected.error().message,
                         "install iproute2 and nftables, and see that the kernel has nf_tables and "
                         "veth"});
        return std::nullopt;
    }
    return Network{Network::Mode::Nat, 0};
}

std::optional<Network> trySlirp(const Spec& spec, pid_t pid, const HoldPipe& hold, Notes& notes)
{
    auto started = startSlirp(spec, pid, hold);
    if (!started) {
        notes.push_back(
            {"no slirp4netns: " + started.error().message,
             "apt-get install slirp4netns; it needs /dev/net/tun to be open to this user "
             "(chmod 666 /dev/net/tun)"});
        return std::nullopt;
    }
    return Network{Network::Mode::Slirp, *started};
}

sockaddr_in socketAddress(const std::string& address)
{
    sockaddr_in result{};
    result.sin_family = AF_INET;
    CHECK(::inet_pton(AF_INET, address.c_str(), &result.sin_addr) == 1);
    return result;
}

std::string netmask(int prefix)
{
    return Subnet{~0u << (32 - prefix), prefix}.host(0);
}

}  // namespace

std::vector<Subnet> subnetsOfHost()
{
    auto subnets = routesOf(readText("/proc/net/route"));
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) < 0) return subnets;
    for (auto* entry = list; entry; entry = entry->ifa_next) {
        if (!entry->ifa_addr || entry->ifa_addr->sa_family != AF_INET || !entry->ifa_netmask)
            continue;
        auto number = [](const sockaddr* address) {
            return ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
        };
        auto mask = number(entry->ifa_netmask);
        subnets.push_back({number(entry->ifa_addr) & mask, __builtin_popcount(mask)});
    }
    ::freeifaddrs(list);
    return subnets;
}

std::string_view name(Network::Mode mode)
{
    switch (mode) {
        case Network::Mode::Nat:
            return "nat";
        case Network::Mode::Slirp:
            return "slirp4netns";
        case Network::Mode::Host:
            return "host";
        case Network::Mode::None:
            return "none";
    }
    return "none";
}

Result<HoldPipe> makeHoldPipe()
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) return failErrno("pipe", errno);
    return HoldPipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

// Root's machine has NAT also where the settings want egress by the host, as they may be changed
// while it runs.
Network connectMachine(const Spec& spec, pid_t pid, const HoldPipe& hold, Notes& notes)
{
    std::optional<std::string> dropping;
    if (!spec.rootless) {
        dropping = forwardingDroppedBy();
        if (!dropping)
            if (auto network = tryNat(spec, pid, notes)) return *network;
    }
    auto redirects = tryRedirect(spec.rootless);
    if (redirects && spec.egress != name(Network::Mode::Nat)) return {Network::Mode::Host};
    if (auto network = trySlirp(spec, pid, hold, notes)) {
        if (dropping)
            notes.push_back(
                {fmt::format("the host's {} drops forwarded packets, so the machine reaches "
                             "the network through slirp4netns, which is slower",
                             *dropping),
                 fmt::format("let the machine's network through there: accept from and to "
                             "{}, then slipway restart",
                             spec.names.link)});
        return *network;
    }
    if (redirects) return {Network::Mode::Host};
    notes.push_back(
        {fmt::format("the machine has no network of its own: pulls, builds that download, and "
                     "outgoing connections of containers fail; published ports work ({})",
                     redirects.error().message),
         "see the notes above"});
    return {};
}

Result<> configureEth0(const Subnet& subnet)
{
    auto failed = [](const char* step) { return failErrno(fmt::format("eth0: {}", step), errno); };
    Descriptor control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control) return failed("socket");
    ifreq request{};
    std::strncpy(request.ifr_name, "eth0", IFNAMSIZ - 1);
    auto set = [&](unsigned long what, const std::string& address) {
        auto value = socketAddress(address);
        std::memcpy(&request.ifr_addr, &value, sizeof value);
        return ::ioctl(control.get(), what, &request);
    };
    if (set(SIOCSIFADDR, subnet.host(2)) < 0) return failed("set its address");
    if (set(SIOCSIFNETMASK, netmask(subnet.prefix)) < 0) return failed("set its netmask");
    if (::ioctl(control.get(), SIOCGIFFLAGS, &request) < 0) return failed("look at it");
    request.ifr_flags |= IFF_UP;
    if (::ioctl(control.get(), SIOCSIFFLAGS, &request) < 0) return failed("bring it up");
    rtentry route{};
    auto put = [](sockaddr& into, const std::string& address) {
        auto value = socketAddress(address);
        std::memcpy(&into, &value, sizeof value);
    };
    put(route.rt_dst, "0.0.0.0");
    put(route.rt_genmask, "0.0.0.0");
    put(route.rt_gateway, subnet.host(1));
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    if (::ioctl(control.get(), SIOCADDRT, &route) < 0) return failed("set the default route");
    return {};
}

std::vector<std::string> removeNetwork(const Spec& spec)
{
    return spec.rootless ? std::vector<std::string>{} : disconnectNat(spec);
}

}  // namespace slipway
