#include "linux-vm-agent/ports/unproxied.h"

#include <chrono>
#include <filesystem>

#include <fmt/format.h>

#include "linux-vm-agent/engine/layout.h"
#include "shared/core/log.h"
#include "shared/json/json.h"

namespace slipway {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr auto kAnswerLimit = 10s;

// Filters are JSON, percent-encoded: {"event":["start","die",…]} and {"network":["host"]}. Those of
// services are called create, update and remove, a container's rename takes effect at its next
// start.
constexpr const char* kEventsPath =
    "/events?filters=%7B%22event%22:%5B%22start%22,%22die%22,%22create%22,%22update%22,"
    "%22remove%22%5D,%22type%22:%5B%22container%22,%22service%22%5D%7D";
constexpr const char* kContainersPath =
    "/containers/json?filters=%7B%22network%22:%5B%22host%22%5D%7D";
constexpr const char* kServicesPath = "/services";

bool inSwarm()
{
    std::error_code ignored;
    return std::filesystem::exists(kSwarmStateFile, ignored);
}

const json::value* member(const json::value& object, std::string_view name)
{
    auto* members = object.if_object();
    return members ? members->if_contains(name) : nullptr;
}

std::string textOf(const json::value& object, std::string_view name)
{
    auto* value = member(object, name);
    return value && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::uint16_t portOf(const json::value& object, std::string_view name)
{
    json::error_code wrong;
    auto* value = member(object, name);
    auto port = value ? value->to_number<std::uint16_t>(wrong) : std::uint16_t{0};
    return wrong ? std::uint16_t{0} : port;
}

Result<json::array> parseList(std::string_view text, const char* what)
{
    TRY(auto value, parseJson(text, what));
    if (!value.is_array()) return fail(Code::DataLoss, fmt::format("{}: not a list", what));
    return value.as_array();
}

}  // namespace

Result<std::map<std::string, std::string>> parseHostContainers(std::string_view text)
{
    TRY(auto list, parseList(text, "the engine's containers"));
    std::map<std::string, std::string> containers;
    for (const json::value& container : list) {
        std::string id = textOf(container, "Id");
        auto* names = member(container, "Names");
        bool named = names && names->is_array() && !names->as_array().empty();
        std::string name = named && names->as_array()[0].is_string()
                               ? std::string(names->as_array()[0].as_string())
                               : "/" + id;
        containers[id] = name.substr(1);
    }
    return containers;
}

Result<std::vector<ClaimedPort>> parseIngressPorts(std::string_view text)
{
    TRY(auto list, parseList(text, "the engine's services"));
    std::vector<ClaimedPort> ports;
    for (const json::value& service : list) {
        auto* spec = member(service, "Spec");
        auto* endpoint = member(service, "Endpoint");
        auto* published = endpoint ? member(*endpoint, "Ports") : nullptr;
        if (!spec || !published || !published->is_array()) continue;
        for (const json::value& port : published->as_array()) {
            std::uint16_t number = portOf(port, "PublishedPort");
            if (textOf(port, "PublishMode") != "ingress" || number == 0) continue;
            for (const char* address : {"0.0.0.0", "::"})
                ports.push_back({textOf(port, "Protocol"), address, number, "127.0.0.1", number,
                                 "service " + textOf(*spec, "Name")});
        }
    }
    return ports;
}

UnproxiedWatch::UnproxiedWatch(Loop& loop, Known known)
    : m_loop(loop), m_known(std::move(known)), m_events(loop, kEventsPath, [this] {
          if (m_call)
              m_again = true;
          else
              ask();
      })
{
}

void UnproxiedWatch::engineUp(bool up)
{
    if (up == m_up) return;
    m_up = up;
    m_call.reset();
    m_again = false;
    if (up)
        m_events.watch();
    else
        m_events.rest();
}

void UnproxiedWatch::ask()
{
    m_again = false;
    m_call = std::make_unique<ApiCall>(m_loop, kContainersPath, kAnswerLimit,
                                       [this](Result<std::string> answer) {
                                           auto containers = answer.and_then(parseHostContainers);
                                           if (containers)
                                               m_now.hostContainers = *std::move(containers);
                                           else
                                               log::warn("ports: {}", containers.error().message);
                                           askServices();
                                       });
}

// Only a swarm's manager answers, and this machine is seldom one.
void UnproxiedWatch::askServices()
{
    if (!inSwarm()) {
        m_now.servicePorts.clear();
        return answered();
    }
    m_call = std::make_unique<ApiCall>(
        m_loop, kServicesPath, kAnswerLimit, [this](Result<std::string> answer) {
            auto ports = answer.and_then(parseIngressPorts);
            if (!ports) log::debug("ports: {}", ports.error().message);
            m_now.servicePorts = std::move(ports).value_or(std::vector<ClaimedPort>());
            answered();
        });
}

void UnproxiedWatch::answered()
{
    m_call.reset();
    m_known(m_now);
    if (m_again) ask();
}

}  // namespace slipway
