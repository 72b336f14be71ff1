// A share for tests: a real FUSE mount, its relay and its file server, each in a process of its
// own, as a process that served a mount which it also uses would wait for itself. The test's own
// program plays all parts: main() calls playedPart() first.
#pragma once

#include <condition_variable>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <QTemporaryDir>
#include <QTest>

#include "linux-vm-agent/fuse_relay/fuse_relay.h"
#include "linux-vm-agent/fuse_relay/injector.h"
#include "linux-vm-agent/fuse_relay/notice_writer.h"
#include "shared/io/descriptor_passing.h"
#include "shared/process/child.h"
#include "tests/support/files/file_calls.h"
#include "wsl-bridge/files/file_server.h"
#include "wsl-bridge/files/pin_keeper.h"

namespace slipway::test {

// One word and at most one descriptor at a time; the answer is one text.
class Control {
public:
    explicit Control(Descriptor socket) : m_socket(std::move(socket)) {}

    void send(const std::string& text, int fd = -1) const
    {
        if (fd >= 0)
            sendWithDescriptor(m_socket.get(), text, fd);
        else
            ::send(m_socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }

    // None: the other end has gone.
    std::optional<std::string> receive(Descriptor* fd = nullptr) const
    {
        std::string text(4096, '\0');
        Descriptor came;
        ssize_t count = receiveWithDescriptor(m_socket.get(), text, came);
        if (count <= 0) return std::nullopt;
        text.resize(static_cast<std::size_t>(count));
        if (fd && came) *fd = std::move(came);
        return text;
    }

private:
    Descriptor m_socket;
};

inline int serverMain(const std::string& stateDir)
{
    std::signal(SIGPIPE, SIG_IGN);
    Control control{Descriptor(3)};
    auto server = startFileServer({stateDir, {}, "/proc/self/exe"});
    if (!server) {
        control.send(server.error().message);
        return 1;
    }
    control.send("ready");
    Descriptor stream;
    while (auto word = control.receive(&stream)) {
        Result<> done;
        if (*word == "attach") {
            done = (*server)->attach(0, std::move(stream));
        } else if (*word == "ended") {
            (*server)->machineEnded();
        } else {
            done = (*server)->grant(*word);
        }
        control.send(done ? "ok" : done.error().message);
    }
    return 0;
}

inline int relayMain(const std::string& mountPoint)
{
    Control control{Descriptor(3)};
    auto relay = FuseRelay::start({Descriptor(4), mountPoint, "/proc/self/exe"});
    control.send(relay ? "ready" : relay.error().message);
    if (!relay) return 1;
    Descriptor stream;
    while (control.receive(&stream)) {
        auto done = (*relay)->attach(0, std::move(stream));
        control.send(done ? "ok" : done.error().message);
    }
    ::_exit(0);
}

// The exit code of the part that this process was started to play; none: it is the test.
inline std::optional<int> playedPart(int argc, char** argv)
{
    std::string part = argc > 2 ? argv[1] : "";
    if (part == "serve-files") return serverMain(argv[2]);
    if (part == "relay-files") return relayMain(argv[2]);
    if (part == "inject" && argc == 4) return injectorMain(argv[3]);
    if (argc == 2 && std::string(argv[1]) == "write-notices") return noticeWriterMain();
    if (argc == 2 && std::string(argv[1]) == "keep-files") return pinKeeperMain();
    return std::nullopt;
}

class FileWorld {
public:
    // What is lacking to make one; empty: nothing.
    static QString lacks()
    {
        if (::geteuid() != 0) return "needs root to mount; run the tests as root";
        if (!Descriptor(::open("/dev/fuse", O_RDWR | O_CLOEXEC)))
            return "needs /dev/fuse; modprobe fuse, or pass the device";
        Command mount;
        mount.program = "unshare";
        mount.args = {"--mount", "true"};
        if (!outputOf(mount, std::chrono::seconds(10)))
            return "needs a mount namespace; in a container, start that container with "
                   "--privileged";
        return {};
    }

    // Mounts in a mount namespace of our own, so that nothing is left whatever becomes of us.
    void start()
    {
        QVERIFY(::unshare(CLONE_NEWNS) == 0);
        QVERIFY(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
        QVERIFY(m_dir.isValid());
        base = m_dir.path().toStdString();
        ::chmod(base.c_str(), 0755);
        mountPoint = base + "/mnt";
        host = base + "/host";
        for (const auto& path : {mountPoint, host, host + "/shared", host + "/secret"})
            ::mkdir(path.c_str(), 0755);
        guest = mountPoint + host + "/shared";
        host += "/shared";
        m_device.reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
        QVERIFY(m_device);
        auto options =
            "fd=" + std::to_string(m_device.get()) +
            ",rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=" +
            std::to_string(fuse::kMaxReadBytes);
        QVERIFY(::mount("slipway-test", mountPoint.c_str(), "fuse", MS_NODEV | MS_NOSUID,
                        options.c_str()) == 0);
        ::mount("fusectl", "/sys/fs/fuse/connections", "fusectl", 0, nullptr);
        m_abort = connectionAbort();
        m_watchdog = std::thread([this] { watch(); });
        startServer();
        startRelay();
        connect();
        grant(host);
    }

    ~FileWorld()
    {
        ::umount2(mountPoint.c_str(), MNT_DETACH);
        abort();
        tellMachineEnded();  // Else what the server keeps would outlive us.
        {
            std::lock_guard lock(m_mutex);
            m_over = true;
        }
        m_changed.notify_all();
        if (m_watchdog.joinable()) m_watchdog.join();
        end(m_relay);
        end(m_server);
        std::error_code ignored;  // QTemporaryDir leaves a name that is not UTF-8.
        std::filesystem::remove_all(base, ignored);
    }

    void startServer()
    {
        startPart(m_server, m_serverControl, {"serve-files", base + "/state"}, -1);
    }
    void startRelay()
    {
        startPart(m_relay, m_relayControl, {"relay-files", mountPoint}, m_device.get());
    }
    void killServer() { end(m_server); }
    void killRelay() { end(m_relay); }
    void stopServer() const
    {
        ::kill(m_server->pid(), SIGSTOP);
        siginfo_t stopped{};
        ::waitid(P_PID, static_cast<id_t>(m_server->pid()), &stopped, WSTOPPED);
    }
    void continueServer() const { ::kill(m_server->pid(), SIGCONT); }

    void tellMachineEnded() const
    {
        m_serverControl->send("ended");
        m_serverControl->receive();
    }

    // How many of the host's files and folders the server watches, as proc_pid_fdinfo(5) has it.
    int watchedByServer() const
    {
        int watches = 0;
        auto folder = "/proc/" + std::to_string(m_server->pid()) + "/fdinfo";
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream in(entry.path());
            for (std::string line; std::getline(in, line);) watches += line.starts_with("inotify ");
        }
        return watches;
    }

    void connect()
    {
        int ends[2] = {-1, -1};
        QVERIFY(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        Descriptor server(ends[0]);
        Descriptor relay(ends[1]);
        m_serverControl->send("attach", server.get());
        QCOMPARE(m_serverControl->receive().value_or("gone"), "ok");
        m_relayControl->send("attach", relay.get());
        QCOMPARE(m_relayControl->receive().value_or("gone"), "ok");
    }

    std::string tryGrant(const std::string& path)
    {
        m_serverControl->send(path);
        return m_serverControl->receive().value_or("gone");
    }
    void grant(const std::string& path) { QCOMPARE(tryGrant(path), "ok"); }

    // Empties the granted folder, and waits until the guest knows.
    void clear()
    {
        auto names = namesIn(host);
        for (const auto& name : names) std::filesystem::remove_all(host + "/" + name);
        // The guest hears of it a moment later: until then it may go on with what it has.
        for (const auto& name : names) QTRY_VERIFY(!statOf(guest + "/" + name));
        QTRY_VERIFY(namesIn(guest).empty());
    }

    std::string base, mountPoint;
    std::string host;   // The granted folder, and
    std::string guest;  // the same through the share.

private:
    void startPart(std::optional<Child>& part, std::unique_ptr<Control>& control,
                   std::vector<std::string> args, int device)
    {
        int ends[2] = {-1, -1};
        QVERIFY(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
        Descriptor ours(ends[0]);
        Descriptor theirs(ends[1]);
        Command command;
        command.program = std::filesystem::read_symlink("/proc/self/exe");
        command.args = std::move(args);
        command.out = Inherit{};
        command.err = Inherit{};
        command.fds = {{theirs.get(), 3}};
        if (device >= 0) command.fds.push_back({device, 4});
        auto child = Child::start(command);
        QVERIFY2(child, child ? "" : child.error().message.c_str());
        theirs.reset();
        part.emplace(std::move(*child));
        control = std::make_unique<Control>(std::move(ours));
        QCOMPARE(control->receive().value_or("gone"), "ready");
    }

    static void end(std::optional<Child>& part)
    {
        if (!part) return;
        part->kill();
        part->wait();
        part.reset();
    }

    std::string connectionAbort() const
    {
        std::ifstream mounts("/proc/self/mountinfo");
        for (std::string line; std::getline(mounts, line);) {
            if (line.find(" " + mountPoint + " ") == std::string::npos) continue;
            std::istringstream fields(line);
            std::string id, parent, device;
            fields >> id >> parent >> device;
            return "/sys/fs/fuse/connections/" + device.substr(device.find(':') + 1) + "/abort";
        }
        return {};
    }
    void abort() const { std::ofstream(m_abort) << "1" << std::flush; }

    // A process that waits for the share can't be killed: end the share before the test's time is
    // over.
    void watch()
    {
        std::unique_lock lock(m_mutex);
        if (!m_changed.wait_for(lock, std::chrono::seconds(100), [this] { return m_over; }))
            abort();
    }

    QTemporaryDir m_dir;
    Descriptor m_device;
    std::string m_abort;
    std::optional<Child> m_server, m_relay;
    std::unique_ptr<Control> m_serverControl, m_relayControl;
    std::mutex m_mutex;
    std::condition_variable m_changed;
    bool m_over = false;
    std::thread m_watchdog;
};

// Runs `work` with the rights of nobody, without touching those of the other threads.
inline void asUser(uid_t uid, gid_t gid, const std::function<void()>& work)
{
    std::thread([&] {
        bool changed = ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
                       ::syscall(SYS_setresgid, gid, gid, gid) == 0 &&
                       ::syscall(SYS_setresuid, uid, uid, uid) == 0;
        if (changed) work();
    }).join();
}

}  // namespace slipway::test
