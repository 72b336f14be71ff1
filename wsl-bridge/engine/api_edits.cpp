#include "wsl-bridge/engine/api_edits.h"

#include <fmt/format.h>

#include "shared/core/log.h"
#include "wsl-bridge/engine/answer_paths.h"
#include "wsl-bridge/engine/json_text.h"
#include "wsl-bridge/engine/other_platform.h"
#include "wsl-bridge/engine/port_conflict.h"
#include "wsl-bridge/engine/request_paths.h"

namespace slipway {
namespace {

bool isPlainJson(const http::ResponseHead& answer)
{
    auto type = answer.find("Content-Type");
    return type && type->starts_with("application/json") && !answer.find("Content-Encoding");
}

}  // namespace

ApiEdits::ApiEdits(ProxyContext& context, const http::RequestHead& head)
    : m_context(context),
      m_call(apiCallOf(head.method, head.target)),
      m_named(nameIn(head.method, head.target))
{
}

bool ApiEdits::holdsRequest() const
{
    return m_context.options.mapsPaths && namesBinds(m_call);
}

void ApiEdits::prepare(std::string body, Prepared prepared)
{
    m_prepared = std::move(prepared);
    m_body = std::move(body);
    const ProxyOptions& options = m_context.options;
    if (holdsRequest()) {
        auto request = editRequest(m_call, m_body, options.endpointSockets,
                                   [&](const std::string& spelled, Missing missing) {
                                       return findHostFolder(spelled, missing, options.user);
                                   });
        if (!request) return m_prepared(tl::unexpected(request.error()));
        m_body = std::move(request->body);
        m_binds = std::move(request->binds);
        m_ports = std::move(request->ports);
        m_hostPaths = std::move(request->hostPaths);
        return grantNext(0);
    }
    if (m_call == ApiCall::SwarmEnter && options.setLiveRestore) {
        return options.setLiveRestore(false, m_alive.wrap([this](Result<> set) {
            if (set) return m_prepared(std::move(m_body));
            m_prepared(
                tl::unexpected(context("set live-restore aside for the swarm", set.error())));
        }));
    }
    m_prepared(std::move(m_body));
}

void ApiEdits::grantNext(std::size_t index)
{
    if (!m_context.options.grant) index = m_hostPaths.size();
    // What is not there (Missing::Leave) can't be granted: dockerd says so when it looks for it.
    std::error_code failed;
    while (index < m_hostPaths.size() && !std::filesystem::exists(m_hostPaths[index], failed))
        ++index;
    if (index == m_hostPaths.size()) return granted();
    m_context.options.grant(m_hostPaths[index], m_alive.wrap([this, index](Result<> granted) {
        if (!granted) return m_prepared(tl::unexpected(granted.error()));
        grantNext(index + 1);
    }));
}

// The answer to an update does not say which service it was, and its path may hold a name.
void ApiEdits::granted()
{
    bool asks = m_call == ApiCall::ServiceUpdate && !m_binds.empty() && isPlainName(m_named);
    if (!asks || !m_context.engine.now().dial) return m_prepared(std::move(m_body));
    m_question = EngineClient(m_context.loop, m_context.engine.now().dial)
                     .get("/services/" + m_named, [this](Result<std::string> service) {
                         auto json = service ? JsonText::scan(*service) : std::nullopt;
                         if (json) m_serviceId = json->stringIn(json->root(), "ID");
                         m_prepared(std::move(m_body));
                     });
}

bool ApiEdits::holdsAnswer(const http::ResponseHead& answer) const
{
    if (!isPlainJson(answer)) return false;
    if (answer.status >= 400) return true;
    return m_context.options.mapsPaths && (namesBinds(m_call) || showsBinds(m_call));
}

std::string ApiEdits::editAnswer(const http::ResponseHead& answer, std::string body)
{
    if (answer.status >= 400)
        return withMessage(body,
                           [this](const std::string& message) { return shownMessage(message); });
    if (!m_binds.empty() || !m_ports.empty()) remember(body);
    return showsBinds(m_call) ? withHostPaths(m_call, body, m_context.records) : body;
}

bool ApiEdits::editsLines(const http::ResponseHead& answer) const
{
    return m_call == ApiCall::ImageStream && answer.status < 300 && isPlainJson(answer);
}

std::string ApiEdits::editLine(std::string_view line) const
{
    return withStreamedError(line,
                             [this](const std::string& message) { return shownMessage(message); });
}

std::string ApiEdits::shownMessage(const std::string& message) const
{
    bool mapped = m_context.options.mapsPaths;
    std::string shown = mapped ? m_context.records.shownIn(message, m_binds) : message;
    if (m_context.hint && isAboutOtherPlatform(shown, m_context.options.platform))
        shown += fmt::format(" ({})", m_context.hint());
    if (!m_context.containerOnPort) return shown;
    return withPortHolder(std::move(shown), m_context.containerOnPort);
}

void ApiEdits::remember(const std::string& answer)
{
    auto json = JsonText::scan(answer);
    if (!json) return;
    Records& records = m_context.records;
    std::string id = json->stringIn(json->root(), "Id");
    Result<> kept;
    switch (m_call) {
        case ApiCall::ServiceCreate:
            kept = records.services.put(id, m_binds);
            break;
        case ApiCall::ServiceUpdate:
            kept = records.services.put(m_serviceId, m_binds);
            break;
        case ApiCall::VolumeCreate:
            kept = records.volumes.put(json->stringIn(json->root(), "Name"), m_binds);
            break;
        default:
            if (!m_binds.empty()) kept = records.containers.put(id, m_binds);
            if (kept && !m_ports.empty()) kept = records.ports.put(id, m_ports);
    }
    if (!kept) log::warn("endpoint: keep what was asked for: {}", kept.error().message);
}

void ApiEdits::answered(const http::ResponseHead& answer)
{
    bool good = answer.status < 300;
    bool changes = m_call == ApiCall::ContainerChange || m_call == ApiCall::ContainerCreate;
    if (changes && good && m_context.containersChanged) m_context.containersChanged();
    bool removes = m_call == ApiCall::ServiceRemove || m_call == ApiCall::VolumeRemove;
    if (removes && good && m_context.bindsRemoved) m_context.bindsRemoved();
    // After a failed init as well: the engine may be in a swarm or not, and only it knows.
    bool swarm = m_call == ApiCall::SwarmEnter || m_call == ApiCall::SwarmLeave;
    if (swarm && m_context.swarmChanged) m_context.swarmChanged();
}

}  // namespace slipway
