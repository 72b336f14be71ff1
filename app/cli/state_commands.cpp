// status, ports, shares, endpoint: what only looks.
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <google/protobuf/util/json_util.h>

#include "app/cli/bridge_session.h"
#include "app/cli/commands.h"
#include "app/launcher/machine_record.h"
#include "app/cli/status_text.h"
#include "app/cli/surroundings.h"
#include "app/cli/terminal.h"
#include "app/cli/text.h"
#include "shared/core/version.h"

namespace slipway {
namespace {

Reader readerFor(const User& user)
{
    auto now = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::milliseconds>(now).count(), user.home,
            displayIsThere(), stdoutColumns()};
}

// Every field is printed, under the names of bridge.proto.
std::string jsonOf(const google::protobuf::Message& message, bool inOneLine = false)
{
    google::protobuf::util::JsonPrintOptions options;
    options.add_whitespace = !inOneLine;
    options.always_print_primitive_fields = true;
    options.preserve_proto_field_names = true;
    std::string text;
    auto done = google::protobuf::util::MessageToJsonString(message, &text, options);
    CHECK(done.ok());
    return text;
}

// What holds while no bridge can be asked.
v1::State stateWithoutBridge(const Home& home)
{
    v1::State state;
    state.set_version(std::string(version()));
    state.set_home(home.root.string());
    state.set_condition(v1::CONDITION_STOPPED);
    state.mutable_endpoint()->set_url(home.endpointUrl());
    state.mutable_endpoint()->set_context(home.instanceName());
    if (machineRecord(home) == MachineRecord::Alive) {
        state.set_condition(v1::CONDITION_DEGRADED);
        state.set_reason("no bridge runs; containers go on, ports and endpoint are away");
        addWarning(state, "the bridge has ended without the machine", "slipway start");
    }
    return state;
}

v1::State stateOfSilentBridge(const Home& home)
{
    auto state = stateWithoutBridge(home);
    auto silence = silenceOfBridge(home);
    state.set_condition(v1::CONDITION_TROUBLE);
    state.set_reason(silence.text);
    state.clear_warnings();
    addWarning(state, "whether the engine runs can't be told", silence.remedy);
    return state;
}

Result<v1::State> currentState(const Home& home)
{
    BridgeSession bridge(home);
    auto state = bridge.state();
    if (!state && state.error().code == Code::DeadlineExceeded) return stateOfSilentBridge(home);
    if (!state) return tl::unexpected(state.error());
    return *state ? **std::move(state) : stateWithoutBridge(home);
}

// Which ports there are, without what grows by itself.
std::string portsOf(v1::State state)
{
    std::string ports;
    for (auto& port : *state.mutable_ports()) {
        port.clear_bytes();
        ports += port.SerializeAsString() + "\n";
    }
    return ports;
}

Result<int> watchPorts(const Home& home, const User& user, bool json)
{
    std::optional<std::string> shown;
    auto show = [&](const v1::State& state) {
        auto ports = portsOf(state);
        if (shown == ports) return;
        if (shown && !json) fmt::print("\n");
        shown = std::move(ports);
        if (json) {
            std::vector<std::string> list;
            for (const auto& port : state.ports()) list.push_back(jsonOf(port, true));
            fmt::print("[{}]\n", fmt::join(list, ","));
        } else {
            fmt::print("{}", portsText(state, readerFor(user)));
        }
        std::fflush(stdout);
    };
    for (BridgeSession bridge(home);;) {
        TRY_VOID(bridge.watch(show));
        show(stateWithoutBridge(home));
        std::this_thread::sleep_for(std::chrono::seconds(1));
    }
}

}  // namespace

Result<int> statusCommand(const Home& home, bool json)
{
    TRY(auto user, invokingUser());
    TRY(auto state, currentState(home));
    addSurroundings(state, surroundingsOf(home, user));
    // Whatever the state, --json has every part.
    state.mutable_engine();
    state.mutable_machine();
    state.mutable_files();
    fmt::print("{}", json ? jsonOf(state) : statusText(state, readerFor(user)));
    return exitCodeOf(state.condition());
}

Result<int> portsCommand(const Home& home, bool json, bool watch)
{
    TRY(auto user, invokingUser());
    if (watch) return watchPorts(home, user, json);
    TRY(auto state, currentState(home));
    if (!json) {
        fmt::print("{}", portsText(state, readerFor(user)));
        return 0;
    }
    std::string list;
    for (const auto& port : state.ports()) {
        if (!list.empty()) list.insert(list.size() - 1, ",");  // Before the line feed.
        list += jsonOf(port);
    }
    fmt::print("[\n{}]\n", list);
    return 0;
}

Result<int> sharesCommand(const Home& home, bool json)
{
    TRY(auto user, invokingUser());
    TRY(auto state, currentState(home));
    fmt::print("{}", json ? jsonOf(state.files()) : sharesText(state, readerFor(user)));
    return 0;
}

Result<int> endpointCommand(const Home& home, bool asExport)
{
    if (asExport)
        fmt::print("export DOCKER_HOST={}\n", shellQuoted(home.endpointUrl()));
    else
        fmt::print("{}\n", home.endpointUrl());
    return 0;
}

}  // namespace slipway
