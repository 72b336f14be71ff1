#include "linux-vm-agent/ports/listening_sockets.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "shared/io/descriptor.h"

namespace slipway {
namespace {

constexpr std::size_t kAnswerBytes = 32u << 10;  // What netlink(7) advises at least for a dump.

struct Dump {
    int family;
    int protocol;
    unsigned state;  // Of <netinet/tcp.h>; a UDP socket without a peer counts as closed.
};
constexpr std::array<Dump, 4> kDumps{{{AF_INET, IPPROTO_TCP, TCP_LISTEN},
                                      {AF_INET6, IPPROTO_TCP, TCP_LISTEN},
                                      {AF_INET, IPPROTO_UDP, TCP_CLOSE},
                                      {AF_INET6, IPPROTO_UDP, TCP_CLOSE}}};

Result<> ask(int netlink, const Dump& dump)
{
    struct {
        nlmsghdr head{};
        inet_diag_req_v2 what{};
    } request;
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.what.sdiag_family = static_cast<std::uint8_t>(dump.family);
    request.what.sdiag_protocol = static_cast<std::uint8_t>(dump.protocol);
    request.what.idiag_states = 1u << dump.state;
    if (::send(netlink, &request, sizeof request, 0) < 0)
        return failErrno("ask the kernel for its listening sockets", errno);
    return {};
}

// A socket on :: says whether it is for IPv6 alone (INET_DIAG_SKV6ONLY).
bool isForIpv6Alone(const nlmsghdr* message, const inet_diag_msg* socket)
{
    auto left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof *socket));
    auto* place = const_cast<inet_diag_msg*>(socket) + 1;
    for (auto* attribute = reinterpret_cast<rtattr*>(place); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left))
        if (attribute->rta_type == INET_DIAG_SKV6ONLY)
            return *static_cast<const std::uint8_t*>(RTA_DATA(attribute)) != 0;
    return false;
}

void add(std::vector<ListeningSocket>& sockets, const Dump& dump, const nlmsghdr* message)
{
    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(inet_diag_msg))) return;
    auto* socket = static_cast<const inet_diag_msg*>(NLMSG_DATA(message));
    // The kernel's own sockets have no inode.
    if (socket->idiag_inode == 0 || socket->id.idiag_sport == 0 || socket->id.idiag_dport != 0)
        return;
    std::array<char, INET6_ADDRSTRLEN> address{};
    ::inet_ntop(socket->idiag_family, socket->id.idiag_src, address.data(), address.size());
    ListeningSocket found{dump.protocol == IPPROTO_TCP ? "tcp" : "udp", address.data(),
                          ntohs(socket->id.idiag_sport), socket->idiag_inode};
    sockets.push_back(found);
    if (found.address != "::" || isForIpv6Alone(message, socket)) return;
    found.address = "0.0.0.0";
    sockets.push_back(found);
}

Result<> read(int netlink, const Dump& dump, std::vector<ListeningSocket>& sockets)
{
    alignas(nlmsghdr) std::array<char, kAnswerBytes> answer{};
    while (true) {
        ssize_t count = ::recv(netlink, answer.data(), answer.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return failErrno("read the kernel's listening sockets", errno);
        auto left = static_cast<std::size_t>(count);
        for (auto* message = reinterpret_cast<nlmsghdr*>(answer.data()); NLMSG_OK(message, left);
             message = NLMSG_NEXT(message, left)) {
            if (message->nlmsg_type == NLMSG_DONE) return {};
            if (message->nlmsg_type == NLMSG_ERROR) {
                auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(message));
                return failErrno("list the kernel's listening sockets", -error->error);
            }
            add(sockets, dump, message);
        }
    }
}

}  // namespace

Result<std::vector<ListeningSocket>> listeningSockets()
{
    Descriptor netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (netlink.get() < 0) return failErrno("open a socket for sock_diag", errno);
    std::vector<ListeningSocket> sockets;
    for (const Dump& dump : kDumps) {
        TRY_VOID(ask(netlink.get(), dump));
        TRY_VOID(read(netlink.get(), dump, sockets));
    }
    return sockets;
}

}  // namespace slipway
