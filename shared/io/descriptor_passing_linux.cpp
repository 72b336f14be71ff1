#include "shared/io/descriptor_passing.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

namespace slipway {
namespace {

struct Message {
    Message(char* bytes, std::size_t size) : part{bytes, size}
    {
        head.msg_iov = &part;
        head.msg_iovlen = 1;
        head.msg_control = room;
        head.msg_controllen = sizeof room;
    }

    iovec part;
    alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))]{};
    msghdr head{};
};

}  // namespace

ssize_t sendWithDescriptor(int socket, std::string_view bytes, int descriptor)
{
    Message message(const_cast<char*>(bytes.data()), bytes.size());
    cmsghdr* along = CMSG_FIRSTHDR(&message.head);
    along->cmsg_level = SOL_SOCKET;
    along->cmsg_type = SCM_RIGHTS;
    along->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(along), &descriptor, sizeof descriptor);
    return ::sendmsg(socket, &message.head, MSG_NOSIGNAL);
}

ssize_t receiveWithDescriptor(int socket, std::span<char> into, Descriptor& along)
{
    Message message(into.data(), into.size());
    ssize_t count = ::recvmsg(socket, &message.head, MSG_CMSG_CLOEXEC);
    if (count < 0) return count;
    if (message.head.msg_flags & MSG_CTRUNC) {
        errno = EMFILE;
        return -1;
    }
    cmsghdr* came = CMSG_FIRSTHDR(&message.head);
    if (came && came->cmsg_level == SOL_SOCKET && came->cmsg_type == SCM_RIGHTS) {
        int number = -1;
        std::memcpy(&number, CMSG_DATA(came), sizeof number);
        along.reset(number);
    }
    return count;
}

}  // namespace slipway
