// slipway-sandbox: builds the namespaces of a machine, clears away what one left, unpacks and
// removes root file systems, and tells what the host offers. Started by the bridge, by quickstart
// and by tests.
#include <cstdio>

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>

#include "wsl-bridge/machine/sandbox/network.h"
#include "wsl-bridge/machine/sandbox/probe.h"
#include "wsl-bridge/machine/sandbox/start.h"

namespace {

using namespace slipway;

int answer(const Result<>& result)
{
    if (result) return 0;
    std::fprintf(stderr, "sandbox: %s\n", result.error().message.c_str());
    return 1;
}

Result<> start(Spec spec, const std::string& subnet)
{
    auto chosen =
        subnet.empty() ? chooseSubnet(subnetsOfHost(), spec.names.number) : parseSubnet(subnet);
    if (!chosen || chosen->prefix > 24) {
        return fail(Code::InvalidArgument,
                    subnet.empty() ? "every private network is in use on this host; pass --subnet"
                                   : "--subnet " + subnet + " is no network of /24 or larger");
    }
    spec.subnet = *chosen;
    TRY(auto record, startSandbox(std::move(spec)));
    std::printf("%s\n", record.c_str());
    return {};
}

void check(const Spec& spec, bool asJson)
{
    boost::json::object facts;
    for (const auto& fact : probe(spec)) {
        facts[fact.name] = {{"ok", fact.holds}, {"reason", fact.reason}, {"remedy", fact.remedy}};
        if (asJson) continue;
        std::printf("%-12s %s\n", fact.name.c_str(), fact.holds ? "yes" : "no");
        if (!fact.holds) std::printf("  %s\n  %s\n", fact.reason.c_str(), fact.remedy.c_str());
    }
    if (asJson) std::printf("%s\n", boost::json::serialize(facts).c_str());
}

}  // namespace

int main(int count, char** words)
{
    CLI::App app("Builds and clears away Slipway's Linux machine", "slipway-sandbox");
    app.require_subcommand(1);
    Spec spec;
    std::string subnet, files = "direct", archive, folder;
    bool asJson = false;

    auto forMachine = [&spec](CLI::App* command) {
        command->add_option("--name", spec.name, "Its name, also its host name")->required();
        command->add_option("--home", spec.home.root, "SLIPWAY_HOME")->required();
        return command;
    };
    auto* starts =
        forMachine(app.add_subcommand("start", "Start a machine; token on standard input"));
    starts->add_option("--root", spec.root, "The unpacked root file system")->required();
    starts->add_option("--bin", spec.bin, "Folder with slipway-init and slipway-agent")->required();
    starts->add_option("--files", files)->check(CLI::IsMember({"direct", "fuse"}));
    starts->add_option("--egress", spec.egress)->check(CLI::IsMember({"nat", "host"}));
    starts->add_option("--subnet", subnet, "Its network, a CIDR; chosen if not given");
    auto* cleans = forMachine(app.add_subcommand("clean", "Remove what a machine left"));
    auto* unpacks = app.add_subcommand("unpack", "Unpack a root file system");
    unpacks->add_option("archive", archive)->required();
    unpacks->add_option("folder", folder)->required();
    auto* removes = app.add_subcommand("remove", "Delete a root file system");
    removes->add_option("folder", folder)->required();
    auto* checks = app.add_subcommand("check", "Tell what this host offers");
    checks->add_option("--home", spec.home.root, "SLIPWAY_HOME")->required();
    checks->add_flag("--json", asJson);
    CLI11_PARSE(app, count, words);

    spec.fuse = files == "fuse";
    spec.rootless = ::geteuid() != 0;
    spec.names = machineNames(spec.name, spec.home.root);
    if (*starts) return answer(start(std::move(spec), subnet));
    if (*unpacks) return answer(unpackRoot(archive, folder));
    if (*removes) return answer(removeTree(folder));
    if (*cleans) {
        for (const auto& line : cleanSandbox(spec)) std::printf("removed %s\n", line.c_str());
    } else if (*checks) {
        check(spec, asJson);
    }
    return 0;
}
