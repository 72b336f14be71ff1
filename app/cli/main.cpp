// `slipway`: the command line. Reads what is asked for, finds the home, runs one command.
#include <cstdio>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "app/cli/commands.h"
#include "app/cli/logs.h"
#include "shared/core/version.h"

namespace slipway {
namespace {

constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr std::size_t kHelpColumn = 18;

using Run = std::function<Result<int>(const Home&)>;

struct Options {
    bool json = false;
    bool watch = false;
    bool asExport = false;
    bool yes = false;
    LogsOptions logs;
    std::string egress;  // nat, host; empty: only tell.
    std::string engine;  // linux, windows
    std::string host;
    std::string tlsFolder;
    TcpWanted tcp;
    Run run;
};

// A command of slipway, or of one of its commands.
CLI::App* command(CLI::App& app, Options& options, const char* name, const char* purpose,
                  const char* footer, Run run)
{
    auto* made = app.add_subcommand(name, purpose);
    made->footer(footer);
    // A command of its own comes before it.
    made->callback([&options, run = std::move(run)] {
        if (!options.run) options.run = run;
    });
    return made;
}

void addEngineCommands(CLI::App& app, Options& options)
{
    command(app, options, "start", "Start the machine and its engine, and the bridge if none runs.",
            "An engine that runs already is left as it is.\nExit codes: 0 running, 1 it could not "
            "be started.",
            startCommand);
    command(app, options, "stop", "Stop containers, engine and machine, and end the bridge.",
            "Images, containers and volumes stay. Also stops a machine whose bridge has died.\n"
            "Exit codes: 0 stopped, 1 it could not be stopped.",
            stopCommand);
    command(app, options, "restart", "Restart the machine and its engine.",
            "Exit codes: 0 running, 1 it could not be restarted.", restartCommand);
    auto* reset = command(
        app, options, "reset", "Delete the machine: all images, containers and volumes.",
        "The host folders that bind mounts have let it see are forgotten too; settings and logs "
        "stay.\nExit codes: 0 deleted, 1 it failed or you said no.",
        [&options](const Home& home) { return resetCommand(home, options.yes); });
    reset->add_flag("-y,--yes", options.yes, "Do not ask.");
    auto* uninstall = command(
        app, options, "uninstall", "Stop Slipway and remove its home and its docker contexts.",
        "Its start at login goes too. Programs and installed packages stay.\nExit codes: 0 "
        "removed, 1 it failed or you said no.",
        [&options](const Home& home) { return uninstallCommand(home, options.yes); });
    uninstall->add_flag("-y,--yes", options.yes, "Do not ask.");
}

void addTcp(CLI::App& endpoint, Options& options)
{
    auto* tcp = command(
        endpoint, options, "tcp", "Let the endpoint listen on TCP as well, or no more.",
        "tls: only for clients that show a certificate of Slipway's; those are made for it, and\n"
        "     slipway endpoint certificates FOLDER hands them out. plain: in the open, for every\n"
        "     user and program of this host. off: as it is at first.\n"
        "Exit codes: 0 done, 1 refused; then everything stays as it was.",
        [&options](const Home& home) { return tcpEndpointCommand(home, options.tcp); });
    tcp->add_option("how", options.tcp.how, "tls, plain or off.")
        ->required()
        ->check(CLI::IsMember({"tls", "plain", "off"}));
    tcp->add_option("--address", options.tcp.address,
                    "Of this host; 127.0.0.1 by default. Another one only with tls.")
        ->check(CLI::ValidIPV4);
    tcp->add_option("--port", options.tcp.port, "2376 with tls, 2375 without, by default.")
        ->check(CLI::Range(1, 65535));
    auto* certificates =
        command(endpoint, options, "certificates", "Copy what a client shows into a folder.",
                "It gets ca.pem, cert.pem and key.pem: whoever has them commands the engine.\n"
                "Exit codes: 0 copied, 1 not.",
                [&options](const Home& home) {
                    return exportCertificatesCommand(home, options.tlsFolder);
                });
    certificates->add_option("folder", options.tlsFolder, "Made if it is not there.")->required();
}

void addStateCommands(CLI::App& app, Options& options)
{
    auto* status = command(
        app, options, "status", "What runs, where, and what is wrong.",
        "With --json: the message State of shared/proto/bridge.proto, every field of it in\n"
        "every state. Times are milliseconds of Unix time; 64-bit numbers are strings, as\n"
        "protobuf's JSON has them.\n"
        "Exit codes: 0 running\n"
        "            3 stopped or stopping\n"
        "            4 degraded (it runs, but something asked for does not work), or starting\n"
        "            5 trouble: the engine, or its bridge, should answer and does not\n"
        "            1 it could not be asked, 2 wrong usage",
        [&options](const Home& home) { return statusCommand(home, options.json); });
    auto* ports = command(
        app, options, "ports", "Ports that containers publish, and those refused.",
        "With --json: a list of the message Port of shared/proto/bridge.proto.\n"
        "With --watch: again at each change, with --json a line each, until Ctrl-C. While\n"
        "no bridge runs there are no ports, and the next one is waited for.\n"
        "Exit codes: 0 listed, 1 the state could not be had.",
        [&options](const Home& home) { return portsCommand(home, options.json, options.watch); });
    ports->add_flag("--watch", options.watch, "Go on, and print each change.");
    auto* shares =
        command(app, options, "shares", "The host folders that containers use.",
                "With --json: the message Files of shared/proto/bridge.proto.\n"
                "Exit codes: 0 listed, 1 the state could not be had.",
                [&options](const Home& home) { return sharesCommand(home, options.json); });
    for (auto* one : {status, ports, shares}) one->add_flag("--json", options.json, "Print JSON.");
    auto* endpoint =
        command(app, options, "endpoint", "The address of the Docker API.",
                "   eval \"$(slipway endpoint --export)\"   points docker in this shell at it\n"
                "Exit codes: 0, also while the engine is stopped.",
                [&options](const Home& home) { return endpointCommand(home, options.asExport); });
    endpoint->add_flag("--export", options.asExport, "Print the line that sets DOCKER_HOST.");
    addTcp(*endpoint, options);
}

void addEgress(CLI::App& app, Options& options)
{
    auto* egress = command(
        app, options, "egress", "How what containers send leaves this host.",
        "nat:  forwarded by the kernel as packets (for an ordinary user by slirp4netns).\n"
        "host: as connections of slipway-bridge, which VPN clients, proxies and firewalls treat\n"
        "      as any other program's; TCP and UDP over IPv4.\n"
        "Without a word it says how it is. A change restarts no container; connections that are\n"
        "open break. By themselves containers reach this host's own services, also those on its\n"
        "loopback, as host.docker.internal, in either mode.\n"
        "Exit codes: 0 done, 1 it can't be had (now).",
        [&options](const Home& home) { return egressCommand(home, options.egress); });
    egress->add_option("mode", options.egress, "nat or host.")
        ->check(CLI::IsMember({"nat", "host"}));
}

void addEngineChoice(CLI::App& app, Options& options)
{
    auto* engine =
        app.add_subcommand("engine", "Which engine the endpoint leads to: Linux or Windows.");
    engine->require_subcommand(1);
    engine->footer(
        "The machine's engine runs Linux containers. One elsewhere, which runs Windows containers, "
        "can\n"
        "be added. A switch moves nothing: what runs stays, what comes next goes to the other "
        "engine.\n"
        "Each of them also has a docker context of its own, which always leads to it.");
    command(*engine, options, "list", "The engines, the one in use marked.",
            "Exit codes: 0 listed, 1 the state could not be had.", listEnginesCommand);
    command(*engine, options, "status", "The engine in use, and whether it answers.",
            "Exit codes: 0 it answers, 3 it is stopped, 5 it should answer and does not,\n"
            "            1 the state could not be had.",
            engineStatusCommand);
    auto* use = command(
        *engine, options, "use", "Lead the endpoint to the other engine, once that answers.",
        "Where it does not, everything stays as it is. A machine that is stopped is started.\n"
        "Exit codes: 0 it is in use, 1 it is not.",
        [&options](const Home& home) { return useEngineCommand(home, options.engine); });
    use->add_option("engine", options.engine, "linux or windows.")
        ->required()
        ->check(CLI::IsMember({"linux", "windows"}));
    auto* add =
        command(*engine, options, "add", "Make a Windows engine known, or say anew where it is.",
                "   slipway engine add windows tcp://10.0.0.5:2376 --tls ~/certs\n"
                "ADDRESS is tcp://HOST:2376 (with TLS), tcp://HOST:2375 (in the open: anyone on "
                "the way can\n"
                "command it), HOST:PORT, or unix:///PATH. The engine's own port is for its dockerd "
                "to open.\n"
                "Exit codes: 0 added, 1 it was not.",
                [&options](const Home& home) {
                    return addWindowsEngineCommand(home, options.host, options.tlsFolder);
                });
    add->add_option("engine", options.engine, "windows.")
        ->required()
        ->check(CLI::IsMember({"windows"}));
    add->add_option("address", options.host, "Where its Docker API is.")->required();
    add->add_option("--tls", options.tlsFolder, "The folder with ca.pem, cert.pem and key.pem.")
        ->check(CLI::ExistingDirectory);
    auto* remove = command(*engine, options, "remove", "Forget the Windows engine.",
                           "Exit codes: 0 forgotten, 1 it is in use, or that failed.",
                           [](const Home& home) { return removeWindowsEngineCommand(home); });
    remove->add_option("engine", options.engine, "windows.")
        ->required()
        ->check(CLI::IsMember({"windows"}));
}

void addLogs(CLI::App& app, Options& options)
{
    auto* logs =
        command(app, options, "logs", "What the programs wrote, all together in the order of time.",
                "Exit codes: 0 printed, 1 there are no logs yet.",
                [&options](const Home& home) -> Result<int> {
                    TRY_VOID(printLogs(home, options.logs, std::cout));
                    return 0;
                });
    logs->add_option("program", options.logs.names,
                     "bridge, agent or engine; none: all, each line named.")
        ->check(CLI::IsMember({"bridge", "agent", "engine"}));
    logs->add_flag("-f,--follow", options.logs.follow, "Go on with what they write from now on.");
    logs->add_option("-n,--lines", options.logs.lines, "Only so many of the last lines.")
        ->check(CLI::NonNegativeNumber);
}

void addVersion(CLI::App& app, Options& options)
{
    command(app, options, "version", "The version of Slipway.", "Exit codes: 0.",
            [](const Home&) -> Result<int> {
                fmt::print("slipway {}\n", version());
                return 0;
            });
}

std::string wrongUsage(const CLI::App* app, const CLI::Error& error)
{
    auto chosen = app->get_subcommands();
    std::string name = chosen.empty() ? "slipway" : "slipway " + chosen.front()->get_name();
    auto extras = app->remaining();
    if (chosen.empty() && !extras.empty() && !extras.front().starts_with('-'))
        return fmt::format("slipway: no command \"{}\"; slipway --help lists them\n",
                           extras.front());
    return fmt::format("{}: {}; {} --help says more\n", name, error.what(), name);
}

int run(const Options& options)
{
    auto home = slipwayHome();
    auto done = home ? options.run(*home) : tl::unexpected(home.error());
    if (done) return *done;
    std::fflush(stdout);
    fmt::print(stderr, "slipway: {}\n", done.error().message);
    return kExitError;
}

}  // namespace
}  // namespace slipway

int main(int argc, char** argv)
{
    using namespace slipway;
    Options options;
    CLI::App app("Slipway: a Docker engine in a Linux machine, as if it ran on this host.",
                 "slipway");
    app.require_subcommand(0, 1);  // Requiring one would hide that a command is misspelled.
    app.get_formatter()->column_width(kHelpColumn);
    app.failure_message(wrongUsage);
    app.set_version_flag("--version", fmt::format("slipway {}", version()));
    app.footer(
        "Everything lies in SLIPWAY_HOME, ~/.slipway by default. Another home is another\n"
        "Slipway, beside it.\n"
        "Exit codes: 0 done, 1 it failed, 2 wrong usage; status has more of them.\n"
        "slipway COMMAND --help says more of each.");
    addEngineCommands(app, options);
    addStateCommands(app, options);
    addEgress(app, options);
    addEngineChoice(app, options);
    addLogs(app, options);
    addVersion(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? 0 : kExitUsage;
    }
    if (!options.run) {
        fmt::print(stderr, "{}", app.help());
        return kExitUsage;
    }
    return run(options);
}
