#include "tests/support/display/own_session.h"

#include <array>
#include <cstdlib>

#include <unistd.h>

#include <fmt/format.h>

namespace slipway::test {
namespace {

constexpr int kReportFd = 3;

// Starts a server that writes its address as one line to a descriptor, and returns that line.
Result<std::pair<Child, std::string>> startReporting(Command command, const std::string& package)
{
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return failErrno("pipe", errno);
    Descriptor ours(ends[0]);
    Descriptor theirs(ends[1]);
    command.fds.push_back({theirs.get(), kReportFd});
    auto child = Child::start(command);
    if (!child) return tl::unexpected(context("install " + package, child.error()));
    theirs.reset();
    std::string line;
    for (char c = 0; ::read(ours.get(), &c, 1) == 1 && c != '\n';) line += c;
    if (line.empty()) return fail(Code::Unavailable, textOf(command) + " said nothing");
    return std::pair(*std::move(child), line);
}

}  // namespace

Result<OwnSession> OwnSession::start()
{
    Command xvfb{"Xvfb",
                 {"-displayfd", std::to_string(kReportFd), "-screen", "0", "800x600x24",
                  "-nolisten", "tcp"}};
    TRY(auto display, startReporting(xvfb, "xvfb"));
    Command daemon{"dbus-daemon",
                   {"--session", "--nofork", fmt::format("--print-address={}", kReportFd)}};
    auto bus = startReporting(daemon, "dbus-daemon");
    if (!bus) {
        display.first.terminate();
        return tl::unexpected(bus.error());
    }
    ::setenv("DISPLAY", (":" + display.second).c_str(), 1);
    ::setenv("DBUS_SESSION_BUS_ADDRESS", bus->second.c_str(), 1);
    ::setenv("QT_QPA_PLATFORM", "xcb", 1);
    ::unsetenv("WAYLAND_DISPLAY");
    std::vector<Child> servers;
    servers.push_back(std::move(bus->first));
    servers.push_back(std::move(display.first));
    return OwnSession(std::move(servers));
}

OwnSession::~OwnSession()
{
    for (auto& server : m_servers) {
        server.terminate();
        server.wait();
    }
}

}  // namespace slipway::test
