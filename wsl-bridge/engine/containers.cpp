#include "wsl-bridge/engine/containers.h"

#include <algorithm>
#include <set>

#include "shared/core/log.h"
#include "shared/json/json.h"
#include "shared/paths/host_path.h"

namespace slipway {
namespace {

namespace json = boost::json;

std::string text(const json::value& object, std::string_view name)
{
    auto* value = object.is_object() ? object.as_object().if_contains(name) : nullptr;
    return value && value->is_string() ? std::string(value->as_string()) : std::string();
}

const json::value* find(const json::value& object, std::string_view name)
{
    return object.is_object() ? object.as_object().if_contains(name) : nullptr;
}

ContainerSeen toContainer(const json::value& listed, const Records& records)
{
    ContainerSeen container;
    boost::system::error_code failed;
    container.id = text(listed, "Id");
    container.running = text(listed, "State") == "running" || text(listed, "State") == "paused";
    if (auto* names = find(listed, "Names"); names && names->is_array())
        for (const auto& name : names->as_array()) {  // Links add names with a second slash.
            std::string plain = name.is_string() ? std::string(name.as_string()) : std::string();
            if (plain.rfind('/') == 0) container.name = plain.substr(1);
        }
    if (auto* ports = find(listed, "Ports"); ports && ports->is_array())
        for (const auto& port : ports->as_array())
            if (auto* number = find(port, "PublicPort"); number && text(port, "Type") == "tcp")
                container.tcpPorts.push_back(number->to_number<std::uint16_t>(failed));
    auto* settings = find(listed, "NetworkSettings");
    auto* networks = settings ? find(*settings, "Networks") : nullptr;
    if (networks && networks->is_object())
        for (const auto& network : networks->as_object())
            for (const char* name : {"IPAddress", "GlobalIPv6Address"})
                if (auto address = text(network.value(), name); !address.empty())
                    container.addresses.push_back(address);
    BindOwner owner{.container = container.id};
    if (auto* labels = find(listed, "Labels")) {
        owner.service = text(*labels, kServiceLabel);
        container.proxyProtocol = text(*labels, kProxyProtocolLabel);
    }
    if (auto* mounts = find(listed, "Mounts"); mounts && mounts->is_array())
        for (const auto& mount : mounts->as_array()) {
            std::string source = text(mount, "Source");
            if (text(mount, "Type") != "bind" || !toHostPath(source)) continue;
            container.hostFolders.push_back(
                records.shown(owner, text(mount, "Destination"), source));
        }
    return container;
}

bool same(const ContainerSeen& a, const ContainerSeen& b)
{
    return a.id == b.id && a.name == b.name && a.running == b.running &&
           a.addresses == b.addresses && a.hostFolders == b.hostFolders && a.tcpPorts == b.tcpPorts;
}

}  // namespace

Result<std::vector<ContainerSeen>> parseContainers(std::string_view listed, const Records& records)
{
    TRY(auto value, parseJson(listed, "the engine's containers"));
    if (!value.is_array()) return fail(Code::DataLoss, "the engine's containers: not a list");
    std::vector<ContainerSeen> containers;
    for (const auto& one : value.as_array()) containers.push_back(toContainer(one, records));
    return containers;
}

Containers::Containers(Loop& loop, Records& records) : m_loop(loop), m_records(records) {}

void Containers::setEngine(DialEngine dial)
{
    if (!m_dial && !dial) return;
    m_dial = std::move(dial);
    m_question.reset();
    refresh();
}

void Containers::refresh()
{
    if (m_question)
        m_again = true;
    else
        ask();
}

void Containers::ask()
{
    m_again = false;
    std::move(m_waitingNext.begin(), m_waitingNext.end(), std::back_inserter(m_waiting));
    m_waitingNext.clear();
    if (!m_dial) {
        m_loop.post(m_alive.wrap([this] {
            if (!m_dial) answered(std::string("[]"));
        }));
        return;
    }
    m_moment = m_records.containers.now();
    m_portsMoment = m_records.ports.now();
    m_question = EngineClient(m_loop, m_dial)
                     .get("/containers/json?all=1",
                          [this](Result<std::string> answer) { answered(std::move(answer)); });
}

void Containers::answered(Result<std::string> answer)
{
    bool asked = m_question != nullptr;
    m_question.reset();
    auto seen = answer ? parseContainers(*answer, m_records) : tl::unexpected(answer.error());
    bool differs =
        seen && !std::equal(seen->begin(), seen->end(), m_all.begin(), m_all.end(), same);
    if (!seen) log::debug("endpoint: {}", seen.error().message);
    if (seen && asked) {
        std::set<std::string> ids;
        for (const ContainerSeen& container : *seen) ids.insert(container.id);
        m_records.containers.keepOnly(ids, m_moment);
        m_records.ports.keepOnly(ids, m_portsMoment);
    }
    if (differs) m_all = std::move(*seen);
    auto waiting = std::exchange(m_waiting, {});
    if (m_again || !m_waitingNext.empty()) ask();
    for (auto& one : waiting) one.done(findNow(one.addressOrName));
    if (differs && changed) changed();
}

std::size_t Containers::running() const
{
    return static_cast<std::size_t>(std::count_if(
        m_all.begin(), m_all.end(), [](const auto& container) { return container.running; }));
}

std::map<std::string, std::vector<std::string>> Containers::folders() const
{
    std::map<std::string, std::vector<std::string>> used;
    for (const ContainerSeen& container : m_all)
        if (container.running)
            for (const std::string& folder : container.hostFolders)
                used[folder].push_back(container.name);
    return used;
}

std::string Containers::nameOnPort(std::uint16_t port) const
{
    for (const ContainerSeen& container : m_all) {
        const auto& ports = container.tcpPorts;
        if (container.running && std::find(ports.begin(), ports.end(), port) != ports.end())
            return container.name;
    }
    return {};
}

void Containers::find(const std::string& addressOrName, Found done)
{
    m_waitingNext.push_back({addressOrName, std::move(done)});
    refresh();
}

const ContainerSeen* Containers::findNow(const std::string& addressOrName) const
{
    const ContainerSeen* named = nullptr;
    for (const ContainerSeen& container : m_all) {
        if (!container.running) continue;
        const auto& all = container.addresses;
        if (std::find(all.begin(), all.end(), addressOrName) != all.end()) return &container;
        if (container.name == addressOrName) named = &container;
    }
    return named;
}

}  // namespace slipway
