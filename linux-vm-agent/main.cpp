// slipway-agent: everything that Slipway does inside the machine, but for what PID 1 keeps.
#include <cstdlib>

#include <unistd.h>

#include <CLI/CLI.hpp>

#include "linux-vm-agent/agent.h"
#include "shared/core/log.h"

namespace slipway {
namespace {

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

Result<> runAgent(const std::string& listen)
{
    ignoreBrokenPipes();
    Agent::Options options;
    options.tunnelSocket = listen;
    TRY(options.token, readToken());
    Loop loop;
    TRY(auto agent, Agent::open(loop, std::move(options), [&loop] { loop.stop(); }));
    log::info("agent: listening on {}", listen);
    loop.run();
    // The machine ends with this process; gRPC would first wait for calls that nobody answers any more.
    ::_exit(EXIT_SUCCESS);
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    std::string listen = "/run/slipway/tunnel/agent.sock";
    std::string files = "direct";
    int fuseFd = -1;
    CLI::App app("slipway-agent: runs inside Slipway's machine, started by slipway-init");
    app.add_option("--listen", listen, "Unix socket of the tunnel")->capture_default_str();
    app.add_option("--files", files, "How the machine gets the host's files")
        ->check(CLI::IsMember({"direct", "fuse"}))
        ->capture_default_str();
    app.add_option("--fuse-fd", fuseFd, "Inherited descriptor of the mounted /dev/fuse, with --files fuse");
    CLI11_PARSE(app, argc, argv);

    auto ended = slipway::runAgent(listen);
    slipway::log::error("agent: {}", ended.error().message);
    return EXIT_FAILURE;
}
