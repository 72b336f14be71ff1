#include "tests/support/own_host.h"

#include <cerrno>

#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include "shared/io/descriptor.h"
#include "shared/json/json.h"

namespace slipway::test {

Result<> enterOwnHost()
{
    if (::unshare(CLONE_NEWNS | CLONE_NEWNET) < 0) return failErrno("make namespaces", errno);
    Output made = bash(
        "mount --make-rprivate /\n"
        "mount -t tmpfs own-host /mnt\n"
        "mkdir /mnt/cgroup\n"
        "mount --rbind /sys/fs/cgroup /mnt/cgroup\n"
        "mount -t sysfs sysfs /sys\n"  // That of the new network namespace.
        "mount --rbind /mnt/cgroup /sys/fs/cgroup\n"
        "umount --lazy /mnt/cgroup\n"
        "mount -t tmpfs own-host /run\n"
        "ip link set lo up\n");
    if (made.exitCode != 0)
        return fail(Code::FailedPrecondition, "make a host of our own: " + made.err);
    return {};
}

Output bash(const std::string& script, std::chrono::seconds limit)
{
    Command command;
    command.program = "bash";
    command.args = {"-ec", ". " HOST_CASES "\n" + script};
    auto output = run(command, limit);
    return output ? *output : Output{-1, "", output.error().message};
}

Output inWorld(SlipwayFixture& slipway, const std::string& prepare, const std::string& command)
{
    return slipway.shell(
        fmt::format("exec unshare --mount --propagation private bash -ec '. {}\n"
                    "mount -t tmpfs world /mnt\n{}\n{}'",
                    HOST_CASES, prepare, command));
}

std::string machineText(SlipwayFixture& slipway, const char* key)
{
    auto status = parseJson(slipway.slipway({"status", "--json"}).out, "slipway status");
    if (!status) return status.error().message;
    const auto* machine = status->as_object().if_contains("machine");
    const auto* value = machine ? machine->as_object().if_contains(key) : nullptr;
    return value ? std::string(value->as_string()) : std::string();
}

std::string serving(const std::string& text)
{
    return fmt::format(
        "busybox mkdir /w; echo {} >/w/index.html; exec busybox httpd -f -p 80 -h /w", text);
}

bool serves(int port, const std::string& text)
{
    return eventually([&] {
        auto body = httpGet("127.0.0.1", port);
        return body && *body == text + "\n";
    });
}

}  // namespace slipway::test
