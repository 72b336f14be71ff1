#include "linux-vm-agent/engine/engine_health.h"

#include "shared/core/log.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

using namespace std::chrono_literals;

constexpr auto kGoodPause = 5s;
constexpr auto kStartPause = 10ms;
constexpr auto kLatePause = 500ms;  // Where a start takes longer than kQuickStart.
constexpr auto kQuickStart = 30s;
constexpr auto kAnswerLimit = 10s;

std::string stringAt(const Result<std::string>& answer, std::string_view key)
{
    auto json = answer ? parseJson(*answer, "the engine's answer")
                       : Result<boost::json::value>(tl::unexpected(answer.error()));
    auto* object = json ? json->if_object() : nullptr;
    auto* value = object ? object->if_contains(key) : nullptr;
    return value && value->is_string() ? std::string(value->as_string()) : "";
}

}  // namespace

EngineHealth::EngineHealth(Loop& loop, std::function<void()> changed)
    : m_loop(loop), m_changed(std::move(changed)), m_timer(loop)
{
}

void EngineHealth::watch()
{
    rest();
    m_trouble.clear();
    m_begin = std::chrono::steady_clock::now();
    ping();
}

void EngineHealth::rest()
{
    m_timer.stop();
    m_call.reset();
    m_good = false;
}

void EngineHealth::ask(const char* path, std::function<void(Result<std::string>)> answered)
{
    m_call = std::make_unique<ApiCall>(m_loop, path, kAnswerLimit, std::move(answered));
}

void EngineHealth::ping()
{
    ask("/_ping", [this](Result<std::string> answer) { pinged(answer); });
}

void EngineHealth::pinged(const Result<std::string>& answer)
{
    m_call.reset();
    if (answer && !m_good) return askVersion();
    bool lost = !answer && m_good;
    if (lost) {
        m_good = false;
        m_trouble = answer.error().message;
        m_begin = std::chrono::steady_clock::now();
        log::warn("engine: {}", m_trouble);
    }
    m_timer.after(pause(), [this] { ping(); });
    if (lost) m_changed();
}

void EngineHealth::askVersion()
{
    ask("/version", [this](Result<std::string> answer) {
        m_facts.version = stringAt(answer, "Version");
        m_facts.apiVersion = stringAt(answer, "ApiVersion");
        m_good = true;
        m_trouble.clear();
        askDriver();
        m_changed();
    });
}

void EngineHealth::askDriver()
{
    ask("/info", [this](Result<std::string> answer) {
        m_facts.storageDriver = stringAt(answer, "Driver");
        m_call.reset();
        m_timer.after(pause(), [this] { ping(); });
        m_changed();
    });
}

std::chrono::milliseconds EngineHealth::pause() const
{
    if (m_good) return kGoodPause;
    return std::chrono::steady_clock::now() - m_begin < kQuickStart ? kStartPause : kLatePause;
}

}  // namespace slipway
