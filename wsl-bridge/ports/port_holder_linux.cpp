#include "wsl-bridge/ports/port_holder.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <arpa/inet.h>
#include <pwd.h>

#include <fmt/format.h>

namespace slipway {
namespace {

namespace fs = std::filesystem;

using Address = std::array<std::uint8_t, 16>;  // IPv4 as ::ffff:a.b.c.d.

struct Listening {
    Address address;
    std::string inode;
    uid_t uid;
};

Address mapped(const in_addr& v4)
{
    Address address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::memcpy(address.data() + 12, &v4, 4);
    return address;
}

std::optional<Address> parseAddress(const std::string& text)
{
    in_addr v4{};
    if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return mapped(v4);
    Address v6{};
    if (::inet_pton(AF_INET6, text.c_str(), v6.data()) == 1) return v6;
    return std::nullopt;
}

// As the kernel prints it: 32-bit words in the host's byte order, each as 8 hex digits.
std::optional<Address> parseKernelAddress(const std::string& hex)
{
    std::array<std::uint32_t, 4> words{};
    if (hex.size() != 8 && hex.size() != 32) return std::nullopt;
    for (std::size_t i = 0; i < hex.size() / 8; ++i)
        words[i] =
            static_cast<std::uint32_t>(std::strtoul(hex.substr(i * 8, 8).c_str(), nullptr, 16));
    if (hex.size() == 8) return mapped(in_addr{words[0]});
    Address address;
    std::memcpy(address.data(), words.data(), address.size());
    return address;
}

bool isAny(const Address& address)
{
    return address == Address{} || address == mapped(in_addr{});
}

bool isV4(const Address& address)
{
    Address v4 = mapped(in_addr{});
    return std::equal(v4.begin(), v4.begin() + 12, address.begin());
}

// A listener on :: usually holds IPv4 as well; one on 0.0.0.0 holds no IPv6.
bool collide(const Address& held, const Address& asked)
{
    if (held == asked) return true;
    if (held == Address{}) return true;
    return isV4(held) == isV4(asked) && (isAny(held) || isAny(asked));
}

// /proc/net/tcp, see proc(5): sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout
// inode
std::vector<Listening> listeningOn(Protocol protocol, std::uint16_t port)
{
    std::vector<Listening> found;
    std::string suffix = fmt::format(":{:04X}", port);
    bool udp = protocol == Protocol::Udp;
    const char* bound = udp ? "07" : "0A";  // TCP_CLOSE, as UDP is while unconnected; TCP_LISTEN.
    for (const char* file :
         {udp ? "/proc/net/udp" : "/proc/net/tcp", udp ? "/proc/net/udp6" : "/proc/net/tcp6"}) {
        std::ifstream table(file);
        std::string line;
        std::getline(table, line);
        while (std::getline(table, line)) {
            std::istringstream columns(line);
            std::string slot, local, remote, state, queues, timer, resent, uid, timeout, inode;
            columns >> slot >> local >> remote >> state >> queues >> timer >> resent >> uid >>
                timeout >> inode;
            if (state != bound || !local.ends_with(suffix)) continue;
            if (auto address = parseKernelAddress(local.substr(0, local.find(':'))))
                found.push_back(
                    {*address, inode, static_cast<uid_t>(std::strtoul(uid.c_str(), nullptr, 10))});
        }
    }
    return found;
}

bool hasSocket(const fs::path& process, const std::string& inode)
{
    std::string link = fmt::format("socket:[{}]", inode);
    std::error_code failed;
    fs::directory_iterator end;
    for (fs::directory_iterator fd(process / "fd", failed); !failed && fd != end;
         fd.increment(failed)) {
        std::error_code gone;
        if (fs::read_symlink(fd->path(), gone) == link) return true;
    }
    return false;
}

std::string describe(const Listening& listening)
{
    std::error_code failed;
    fs::directory_iterator end;
    for (fs::directory_iterator entry("/proc", failed); !failed && entry != end;
         entry.increment(failed)) {
        std::string pid = entry->path().filename();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        if (!hasSocket(entry->path(), listening.inode)) continue;
        std::ifstream comm(entry->path() / "comm");
        std::string name;
        std::getline(comm, name);
        return fmt::format("{} (pid {})", name, pid);
    }
    const passwd* owner = ::getpwuid(listening.uid);
    return owner ? fmt::format("a process of user {}", owner->pw_name)
                 : fmt::format("a process of user {}", listening.uid);
}

}  // namespace

std::optional<std::string> holderOfPort(const PortAddress& at)
{
    auto asked = parseAddress(at.address);
    if (!asked) return std::nullopt;
    for (const Listening& listening : listeningOn(at.protocol, at.port))
        if (collide(listening.address, *asked)) return describe(listening);
    return std::nullopt;
}

std::uint16_t firstUnprivilegedPort()
{
    std::ifstream file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    unsigned port = 0;
    return file >> port ? static_cast<std::uint16_t>(port) : 1024;
}

std::string remedyForLowPort(std::uint16_t port)
{
    return fmt::format(
        "publish a port from {} on, or allow it: sudo sysctl "
        "net.ipv4.ip_unprivileged_port_start={}",
        firstUnprivilegedPort(), port);
}

}  // namespace slipway
