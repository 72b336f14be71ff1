#include "tests/support/other_engine.h"

#include "tests/support/own_host.h"

namespace slipway::test {

OtherEngine::OtherEngine(const std::string& arguments)
{
    Command command;
    command.program = "unshare";
    command.args = {
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "bash",
        "-ec",
        "rm -rf /run/docker /run/docker.*; mkdir -p /run/theirs; cd /run/theirs; mkdir -p upper "
        "work root data\n"
        "mount -t overlay -o lowerdir=$SLIPWAY_ROOTFS,upperdir=upper,workdir=work theirs root\n"
        "cd root; mkdir -p var/lib/docker; mount -t proc proc proc\n"
        "for d in sys dev run; do mount --rbind /$d $d; done\n"
        "mount --bind /run/theirs/data var/lib/docker\n"
        "pivot_root . mnt; umount --lazy /mnt\n"
        "exec dockerd -H unix:///run/docker.sock --cgroup-parent /slipway-test-theirs " +
            arguments};
    command.out = std::filesystem::path("/run/theirs.log");
    command.err = std::filesystem::path("/run/theirs.log");
    if (auto started = Child::start(command)) m_process.emplace(*std::move(started));
}

OtherEngine::~OtherEngine()
{
    if (!m_process) return;
    m_process->kill();  // unshare ignores what is milder, and takes all of it along.
    m_process->wait();
    // What ran in its groups takes a moment to be gone.
    eventually([] {
        return bash(
                   "find /sys/fs/cgroup -depth -type d -path '*/slipway-test-theirs*' -exec "
                   "rmdir {} +")
                   .exitCode == 0;
    });
}

std::string OtherEngine::log() const
{
    return bash("cat /run/theirs.log").out;
}

}  // namespace slipway::test
