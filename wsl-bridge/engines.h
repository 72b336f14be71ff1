// The engines that clients can be led to, and which of them the endpoint leads to.
//
// Theory of operation. There are three sockets: one that follows the engine in use, and one for
// each engine. All of them are endpoints of the same proxies; only what they answer to "which
// engine?" differs, and that is asked for each request. A switch therefore moves nothing: what runs
// stays where it began, what comes next goes to the other engine. It asks the other engine for
// /_ping until that answers, writes the choice into settings.json, which is replaced whole, and
// only then chooses. A crash at any moment leaves the old choice or the new one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "shared/paths/home.h"
#include "wsl-bridge/engine/endpoint.h"
#include "wsl-bridge/engine/engine_client.h"
#include "wsl-bridge/engine/machine_engine.h"
#include "wsl-bridge/settings/settings.h"

namespace slipway {

class Engines {
public:
    struct Options {
        Home home;
        User user;
        std::function<void(const std::filesystem::path& hostPath, ProxyOptions::Done)> grant;
        std::function<void(bool enabled, ProxyOptions::Done)> setLiveRestore;
        std::function<void()> changed;  // windows(), inUse() or reach() have.
        std::chrono::milliseconds patience = std::chrono::seconds(10);  // Of a switch.
    };
    static Result<std::unique_ptr<Engines>> listen(Loop& loop, Options options);
    ~Engines();

    MachineEngine& machine() { return m_machine; }
    const MachineEngine& machine() const { return m_machine; }
    void serve(StreamPtr client);  // As if it came over the socket that follows the choice.
    void serveFromMachine(StreamPtr client);  // Its own /var/run/docker.sock.

    // What settings.json says now. The error says what is wrong with the address or the files.
    Result<> configure(const Settings& settings);

    // Adds or replaces the Windows engine, or removes it, also in settings.json. One that is in use
    // can't be removed.
    Result<> setWindows(const std::optional<WindowsEngine>& windows);
    const std::optional<WindowsEngine>& windows() const { return m_windows; }
    bool windowsIsInTheOpen() const
    {
        return m_inTheOpen;
    }  // Whoever is on the way can command it.

    // Once the engine answers; else everything stays, and the error says why it does not.
    using Done = std::function<void(Result<>)>;
    void use(EngineName engine, Done done);
    EngineName inUse() const { return m_inUse; }

    // Asks the Windows engine what it is. Always tells the end of it: at once where there is none,
    // and where another question or another engine takes its place.
    struct Reach {
        EngineClient::Version version;
        std::string trouble;  // Why it can't be reached. Empty: it can, or is not known yet.
    };
    void look(std::function<void()> looked);
    const Reach& reach() const { return m_reach; }

private:
    Engines(Loop& loop, Options options);
    Result<> adopt(const std::optional<WindowsEngine>& windows);
    std::shared_ptr<ProxyContext> context(EngineName engine) const;
    void tryAgain();
    void tried(Result<> answered);
    void endSwitch(Result<> outcome);
    void tellLooked();

    Loop& m_loop;
    Options m_options;
    MachineEngine m_machine;
    std::shared_ptr<ProxyContext> m_other;  // The Windows engine; null: none.
    std::optional<WindowsEngine> m_windows;
    bool m_inTheOpen = false;
    EngineName m_inUse = EngineName::Linux;
    Reach m_reach;

    // A switch under way.
    EngineName m_to = EngineName::Linux;
    Done m_switched;
    std::chrono::steady_clock::time_point m_switchEnd;
    EngineQuestionPtr m_ping;
    Timer m_retry;

    EngineQuestionPtr m_look;
    std::function<void()> m_looked;

    // Declared last: their proxies go first.
    std::unique_ptr<Endpoint> m_endpoint;
    std::unique_ptr<Endpoint> m_linuxEndpoint;
    std::unique_ptr<Endpoint> m_windowsEndpoint;
};

}  // namespace slipway
