#include "wsl-bridge/engines.h"

#include <fmt/format.h>

#include "shared/core/log.h"
#include "shared/net/docker_ports.h"
#include "wsl-bridge/engine/remote_engine.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kRetry{250};

ProxyOptions optionsOfMachine(const Engines::Options& options)
{
    return {.user = options.user,
            .endpointSockets = {options.home.endpointSocket(), options.home.linuxSocket()},
            .recordsDir = options.home.endpointDir(),
            .grant = options.grant,
            .setLiveRestore = options.setLiveRestore};
}

struct Way {
    DialEngine dial;
    bool inTheOpen = false;
};

// TLS where there are certificates for it, or the port is the one for it.
Result<Way> wayTo(Loop& loop, const WindowsEngine& windows)
{
    TRY(auto address, parseEngineAddress(windows.host));
    std::optional<TlsContext> tls;
    if (!windows.tlsDir.empty() || address.port == kDockerTlsPort) {
        TRY(auto made,
            TlsContext::client(windows.tlsDir.empty() ? TlsFiles{} : tlsFilesIn(windows.tlsDir)));
        tls = std::move(made);
    }
    bool inTheOpen = !tls && !address.isLoopback();
    return Way{engineAt(loop, std::move(address), std::move(tls)), inTheOpen};
}

}  // namespace

Engines::Engines(Loop& loop, Options options)
    : m_loop(loop),
      m_options(std::move(options)),
      m_machine(loop, optionsOfMachine(m_options)),
      m_retry(loop)
{
    m_machine.setAvailability({.reason = "stopped"});
    m_machine.context()->hint = [this] {
        return std::string(m_windows ? "Windows containers run with: slipway engine use windows"
                                     : "a Windows engine can be added: slipway engine add --help");
    };
}

Engines::~Engines() = default;

Result<std::unique_ptr<Engines>> Engines::listen(Loop& loop, Options options)
{
    std::unique_ptr<Engines> engines(new Engines(loop, std::move(options)));
    Engines* self = engines.get();
    const Home& home = self->m_options.home;
    TRY(self->m_endpoint, Endpoint::listen(loop, home.endpointSocket(),
                                           [self] { return self->context(self->m_inUse); }));
    TRY(self->m_linuxEndpoint, Endpoint::listen(loop, home.linuxSocket(), [self] {
            return self->context(EngineName::Linux);
        }));
    return engines;
}

std::shared_ptr<ProxyContext> Engines::context(EngineName engine) const
{
    return engine == EngineName::Windows && m_other ? m_other : m_machine.context();
}

void Engines::serve(StreamPtr client)
{
    m_endpoint->serve(std::move(client));
}

void Engines::serveFromMachine(StreamPtr client)
{
    m_linuxEndpoint->serve(std::move(client));
}

Result<> Engines::configure(const Settings& settings)
{
    m_inUse = settings.engine;
    return adopt(settings.windows);
}

Result<> Engines::setWindows(const std::optional<WindowsEngine>& windows)
{
    if (!windows && m_inUse == EngineName::Windows)
        return fail(Code::FailedPrecondition,
                    "the Windows engine is in use; first: slipway engine use linux");
    if (m_switched) return fail(Code::Aborted, "a switch is under way; try again after it");
    if (windows) TRY_VOID(wayTo(m_loop, *windows));
    TRY_VOID(saveEngines(m_options.home.settingsFile(), windows, m_inUse));
    TRY_VOID(adopt(windows));
    m_options.changed();
    return {};
}

// Streams that are open stay with the engine they began on. One that can't be had stays the Windows
// engine all the same: whoever asks it is told why, and is not led to another one.
Result<> Engines::adopt(const std::optional<WindowsEngine>& windows)
{
    if (windows && windows == m_windows && m_other->engine.now().dial) return {};
    m_look.reset();
    tellLooked();
    m_reach = {};
    m_windows = windows;
    m_other.reset();
    m_inTheOpen = false;
    if (!windows) {
        m_windowsEndpoint.reset();
        return {};
    }
    m_other = std::make_shared<ProxyContext>(
        m_loop, ProxyOptions{.user = m_options.user,
                             .platform = "windows",
                             .mapsPaths = false,
                             .recordsDir = m_options.home.endpointDir() / "windows"});
    m_other->hint = [] {
        return std::string("Linux containers run with: slipway engine use linux");
    };
    if (!m_windowsEndpoint) {
        TRY(m_windowsEndpoint,
            Endpoint::listen(m_loop, m_options.home.windowsSocket(), [this] { return m_other; }));
    }
    auto way = wayTo(m_loop, *windows);
    if (!way) {
        m_reach.trouble = way.error().message;
        m_other->engine.set(
            {.reason = m_reach.trouble, .remedy = "mend that, or: slipway engine use linux"});
        return tl::unexpected(way.error());
    }
    m_inTheOpen = way->inTheOpen;
    m_other->engine.set({.dial = std::move(way->dial)});
    return {};
}

void Engines::use(EngineName engine, Done done)
{
    auto refuse = [&](Code code, std::string why) {
        m_loop.post(
            [done = std::move(done), code, why = std::move(why)] { done(fail(code, why)); });
    };
    if (m_switched)
        return refuse(Code::Aborted,
                      fmt::format("a switch to the {} engine is under way", name(m_to)));
    if (engine == EngineName::Windows && !m_other)
        return refuse(Code::FailedPrecondition,
                      "no Windows engine is known; first: slipway engine add windows "
                      "tcp://HOST:2376 --tls FOLDER");
    m_to = engine;
    m_switched = std::move(done);
    m_switchEnd = std::chrono::steady_clock::now() + m_options.patience;
    m_retry.after(std::chrono::milliseconds(0), [this] { tryAgain(); });
}

void Engines::tryAgain()
{
    const EngineAvailability& there = context(m_to)->engine.now();
    if (!there.dial) {
        if (!there.starting) m_switchEnd = {};
        return tried(fail(Code::Unavailable, there.reason));
    }
    m_ping = EngineClient(m_loop, there.dial).ping([this](Result<std::chrono::microseconds> took) {
        tried(took ? Result<>() : tl::unexpected(took.error()));
    });
}

void Engines::tried(Result<> answered)
{
    if (answered) {
        auto saved = saveEngines(m_options.home.settingsFile(), m_windows, m_to);
        if (saved) m_inUse = m_to;
        return endSwitch(std::move(saved));
    }
    bool late = std::chrono::steady_clock::now() + kRetry > m_switchEnd;
    if (late || answered.error().code == Code::Unauthenticated)
        return endSwitch(fail(answered.error().code,
                              fmt::format("the {} engine does not answer, so the {} engine stays "
                                          "in use: {}",
                                          name(m_to), name(m_inUse), answered.error().message)));
    m_retry.after(kRetry, [this] { tryAgain(); });
}

void Engines::endSwitch(Result<> outcome)
{
    if (outcome) log::info("engines: the endpoint leads to the {} engine", name(m_inUse));
    auto done = std::exchange(m_switched, nullptr);
    m_options.changed();
    done(std::move(outcome));
}

void Engines::look(std::function<void()> looked)
{
    tellLooked();
    m_looked = std::move(looked);
    if (!m_other || !m_other->engine.now().dial) return tellLooked();
    m_look = EngineClient(m_loop, m_other->engine.now().dial)
                 .version([this](Result<EngineClient::Version> version) {
                     m_reach = version ? Reach{*version, {}} : Reach{{}, version.error().message};
                     tellLooked();
                 });
}

// By way of the loop: the question may not be destroyed from within.
void Engines::tellLooked()
{
    if (auto looked = std::exchange(m_looked, nullptr)) m_loop.post(std::move(looked));
}

}  // namespace slipway
