#include "linux-vm-agent/fuse_relay/helper.h"

#include <cerrno>

#include <sys/socket.h>

namespace slipway {

Result<Helper> startHelper(const std::filesystem::path& program, std::vector<std::string> args,
                           std::vector<InheritedFd> fds)
{
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return failErrno("socketpair", errno);
    Descriptor ours(ends[0]);
    Descriptor theirs(ends[1]);
    Command command;
    command.program = program;
    command.args = std::move(args);
    command.input = theirs.get();
    command.out = Inherit{};
    command.err = Inherit{};
    command.fds = std::move(fds);
    TRY(auto child, Child::start(command));
    return Helper{std::move(child), std::make_shared<fuse::MessageStream>(std::move(ours))};
}

}  // namespace slipway
