#include "wsl-bridge/engine/machine_engine.h"

#include <initializer_list>
#include <set>

#include "shared/core/log.h"
#include "wsl-bridge/engine/engine_client.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

// Whether /info says that the engine is in no swarm.
bool outOfSwarm(const std::string& info)
{
    auto json = JsonText::scan(info);
    auto swarm = json ? json->member(json->root(), "Swarm") : std::nullopt;
    auto state = swarm ? json->member(*swarm, "LocalNodeState") : std::nullopt;
    return state && json->string(*state) == "inactive";
}

// What `records` keeps of things that a list, asked for at `moment`, does not have is forgotten.
void keepListed(BindRecords& records, std::uint64_t moment, const std::string& answer,
                std::initializer_list<std::string_view> list, std::string_view id)
{
    auto json = JsonText::scan(answer);
    if (!json) return;
    std::set<std::string> ids;
    for (JsonSpan array : json->reach(json->root(), list))
        for (JsonSpan thing : json->elements(array)) ids.insert(json->stringIn(thing, id));
    records.keepOnly(ids, moment);
}

}  // namespace

MachineEngine::MachineEngine(Loop& loop, ProxyOptions options)
    : m_loop(loop),
      m_context(std::make_shared<ProxyContext>(loop, options)),
      m_containers(loop, m_context->records)
{
    m_context->containersChanged = [this] { m_containers.refresh(); };
    m_context->bindsRemoved = [this] { forgetRemoved(); };
    m_context->swarmChanged = [this] { restoreAfterSwarm(); };
    m_context->containerOnPort = [this](std::uint16_t port) {
        return m_containers.nameOnPort(port);
    };
}

void MachineEngine::setAvailability(EngineAvailability engine)
{
    m_containers.setEngine(engine.dial);
    m_context->engine.set(std::move(engine));
    forgetRemoved();
}

void MachineEngine::forgetContainers()
{
    m_context->records.forgetAll();
}

void MachineEngine::restoreAfterSwarm()
{
    if (!m_context->engine.now().dial) return;
    m_swarmQuestion =
        EngineClient(m_loop, m_context->engine.now().dial)
            .get("/info", [this](Result<std::string> info) {
                if (!info) return log::warn("endpoint: {}", info.error().message);
                if (!outOfSwarm(*info)) return;
                m_context->records.services.keepOnly({}, m_context->records.services.now());
                if (!m_context->options.setLiveRestore) return;
                m_context->options.setLiveRestore(true, [](Result<> set) {
                    if (!set)
                        log::warn("endpoint: live-restore after a swarm: {}", set.error().message);
                });
            });
}

// Containers are looked after by their own list.
void MachineEngine::forgetRemoved()
{
    m_volumesQuestion.reset();
    m_servicesQuestion.reset();
    if (!m_context->engine.now().dial) return;
    EngineClient client(m_loop, m_context->engine.now().dial);
    auto& volumes = m_context->records.volumes;
    auto& services = m_context->records.services;
    if (!volumes.empty())
        m_volumesQuestion =
            client.get("/volumes", [&volumes, moment = volumes.now()](Result<std::string> answer) {
                if (answer) keepListed(volumes, moment, *answer, {"Volumes"}, "Name");
            });
    if (!services.empty())
        m_servicesQuestion = client.get(
            "/services", [&services, moment = services.now()](Result<std::string> answer) {
                if (answer) keepListed(services, moment, *answer, {}, "ID");
            });
}

}  // namespace slipway
