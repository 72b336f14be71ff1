// slipway-agent: everything that Slipway does inside the machine, but for what PID 1 keeps.
#include <cstdlib>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "linux-vm-agent/agent.h"
#include "linux-vm-agent/fuse_relay/fuse_relay.h"
#include "linux-vm-agent/fuse_relay/injector.h"
#include "linux-vm-agent/fuse_relay/notice_writer.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr const char* kShare = "/mnt/host";  // slipway-init has mounted it.

struct Arguments {
    std::string listen = "/run/slipway/tunnel/agent.sock";
    std::string files = "direct";
    int fuseFd = -1;
    std::string network;
};

// The token of this boot, from standard input. Its end is no stop: the machine outlives its bridge.
Result<Token> readToken()
{
    Token token;
    std::size_t read = 0;
    while (read < token.size()) {
        ssize_t count = ::read(STDIN_FILENO, token.data() + read, token.size() - read);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failErrno("read the token from standard input", errno);
        if (count == 0)
            return fail(Code::InvalidArgument,
                        "no token on standard input; slipway-agent is started by slipway-init");
        read += static_cast<std::size_t>(count);
    }
    return token;
}

Result<std::unique_ptr<FuseRelay>> startRelay(int fuseFd)
{
    if (fuseFd < 0)
        return fail(Code::InvalidArgument, "--files fuse needs --fuse-fd; slipway-init passes it");
    FuseRelayOptions options;
    options.device = Descriptor(fuseFd);
    options.mountPoint = kShare;
    options.program = "/proc/self/exe";
    return FuseRelay::start(std::move(options));
}

Result<> runAgent(const Arguments& arguments)
{
    ignoreBrokenPipes();
    Agent::Options options;
    options.tunnelSocket = arguments.listen;
    TRY(options.token, readToken());
    std::unique_ptr<FuseRelay> relay;
    if (arguments.files == "fuse") {
        TRY(relay, startRelay(arguments.fuseFd));
        options.share = [&relay](std::uint32_t channel, Descriptor stream) {
            auto attached = relay->attach(channel, std::move(stream));
            if (!attached) log::warn("share: {}", attached.error().message);
        };
    }
    if (!arguments.network.empty()) {
        options.network = parseSubnet(arguments.network);
        if (!options.network)
            return fail(Code::InvalidArgument,
                        "--network is no CIDR of IPv4: " + arguments.network);
    }
    Loop loop;
    TRY(auto agent, Agent::open(loop, std::move(options), [&loop] { loop.stop(); }));
    log::info("agent: listening on {}", arguments.listen);
    loop.run();
    // The machine ends with this process; gRPC would first wait for calls that nobody answers any
    // more.
    ::_exit(EXIT_SUCCESS);
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    slipway::Arguments arguments;
    CLI::App app("slipway-agent: runs inside Slipway's machine, started by slipway-init");
    app.add_option("--listen", arguments.listen, "Unix socket of the tunnel")
        ->capture_default_str();
    app.add_option("--files", arguments.files, "How the machine gets the host's files")
        ->check(CLI::IsMember({"direct", "fuse"}))
        ->capture_default_str();
    app.add_option("--fuse-fd", arguments.fuseFd,
                   "The mounted /dev/fuse, inherited; with --files fuse");

    app.add_option("--network", arguments.network,
                   "The machine's own network, a CIDR; without it the host is not reached");

    std::string mount;
    auto* inject = app.add_subcommand(
        "inject", "Started by the agent: repeats the host's changes in the share");
    inject->add_option("--mount", mount)->required();
    auto* notices = app.add_subcommand(
        "write-notices", "Started by the agent: tells the kernel what the host has changed");
    CLI11_PARSE(app, argc, argv);
    if (*inject) return slipway::injectorMain(mount);
    if (*notices) return slipway::noticeWriterMain();

    auto ended = slipway::runAgent(arguments);
    slipway::log::error("agent: {}", ended.error().message);
    return EXIT_FAILURE;
}
