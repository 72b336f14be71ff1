#include "wsl-bridge/engine/api_edits.h"

#include "shared/core/log.h"
#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/answer_paths.h"
#include "wsl-bridge/engine/create_request.h"
#include "wsl-bridge/engine/json_text.h"
#include "wsl-bridge/engine/port_conflict.h"

namespace slipway {

ApiEdits::ApiEdits(ProxyContext& context, const http::RequestHead& head)
    : m_context(context), m_call(apiCallOf(head.method, head.target))
{
}

void ApiEdits::prepare(std::string body, Prepared prepared)
{
    m_prepared = std::move(prepared);
    m_body = std::move(body);
    const ProxyOptions& options = m_context.options;
    if (m_call == ApiCall::ContainerCreate) {
        auto request = editCreate(m_body, options.endpointSocket,
                                  [&](const std::string& spelled, Missing missing) {
                                      return findHostFolder(spelled, missing, options.user);
                                  });
        if (!request) return m_prepared(tl::unexpected(request.error()));
        m_body = std::move(request->body);
        m_binds = std::move(request->binds);
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
    if (index == m_hostPaths.size() || !m_context.options.grant)
        return m_prepared(std::move(m_body));
    m_context.options.grant(m_hostPaths[index], m_alive.wrap([this, index](Result<> granted) {
        if (!granted) return m_prepared(tl::unexpected(granted.error()));
        grantNext(index + 1);
    }));
}

bool ApiEdits::holdsAnswer(const http::ResponseHead& answer) const
{
    if (answer.find("Content-Encoding")) return false;
    auto type = answer.find("Content-Type");
    if (!type || !type->starts_with("application/json")) return false;
    if (answer.status >= 400) return true;
    return m_call == ApiCall::ContainerCreate || m_call == ApiCall::ContainerInspect ||
           m_call == ApiCall::ContainerList;
}

std::string ApiEdits::editAnswer(const http::ResponseHead& answer, std::string body)
{
    if (answer.status >= 400)
        return withMessage(body, [this](const std::string& message) {
            std::string shown = withHostPaths(message);
            if (!m_context.containerOnPort) return shown;
            return withPortHolder(std::move(shown), m_context.containerOnPort);
        });
    if (m_call == ApiCall::ContainerInspect)
        return withHostPathsOfContainer(body, m_context.records);
    if (m_call == ApiCall::ContainerList) return withHostPathsOfContainers(body, m_context.records);
    if (m_call == ApiCall::ContainerCreate) remember(body);
    return body;
}

void ApiEdits::remember(const std::string& createAnswer)
{
    if (m_binds.empty()) return;
    auto json = JsonText::scan(createAnswer);
    auto value = json ? json->member(json->root(), "Id") : std::nullopt;
    auto id = value ? json->string(*value) : std::nullopt;
    auto kept = m_context.records.put(id.value_or(""), m_binds);
    if (!kept) log::warn("endpoint: keep the spelling of bind paths: {}", kept.error().message);
}

void ApiEdits::answered(const http::ResponseHead& answer)
{
    bool good = answer.status < 300;
    bool changes = m_call == ApiCall::ContainerChange || m_call == ApiCall::ContainerCreate;
    if (changes && good && m_context.containersChanged) m_context.containersChanged();
    // After a failed init as well: the engine may be in a swarm or not, and only it knows.
    bool swarm = m_call == ApiCall::SwarmEnter || m_call == ApiCall::SwarmLeave;
    if (swarm && m_context.swarmChanged) m_context.swarmChanged();
}

}  // namespace slipway
