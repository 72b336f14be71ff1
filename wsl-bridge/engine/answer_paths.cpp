#include "wsl-bridge/engine/answer_paths.h"

#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/bind_spec.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

class ContainerEditor {
public:
    ContainerEditor(const JsonText& json, JsonSpan container, const BindRecords& records,
                    std::vector<JsonEdit>& edits)
        : m_json(json), m_records(records), m_edits(edits)
    {
        m_id = stringMember(container, "Id").value_or("");
        editMounts(container, "Destination");
        for (JsonSpan hostConfig : json.members(container, "HostConfig")) {
            editMounts(hostConfig, "Target");
            for (JsonSpan binds : json.members(hostConfig, "Binds"))
                for (JsonSpan bind : json.elements(binds)) editBind(bind);
        }
    }

private:
    std::optional<std::string> stringMember(JsonSpan object, std::string_view name) const
    {
        auto value = m_json.member(object, name);
        return value ? m_json.string(*value) : std::nullopt;
    }

    void editMounts(JsonSpan object, std::string_view destinationName)
    {
        for (JsonSpan mounts : m_json.members(object, "Mounts"))
            for (JsonSpan mount : m_json.elements(mounts)) {
                auto source = stringMember(mount, "Source");
                if (stringMember(mount, "Type") != "bind" || !source) continue;
                auto destination = stringMember(mount, destinationName).value_or("");
                replace(*m_json.member(mount, "Source"), *source,
                        shownSource(m_records, m_id, destination, *source));
            }
    }

    void editBind(JsonSpan bind)
    {
        auto text = m_json.string(bind);
        auto spec = text ? parseBind(*text) : std::nullopt;
        if (!spec) return;
        spec->source = shownSource(m_records, m_id, spec->destination, spec->source);
        replace(bind, *text, spec->text());
    }

    void replace(JsonSpan where, const std::string& old, const std::string& text)
    {
        if (text != old) m_edits.push_back({where, toJsonString(text)});
    }

    const JsonText& m_json;
    const BindRecords& m_records;
    std::vector<JsonEdit>& m_edits;
    std::string m_id;
};

}  // namespace

std::string shownSource(const BindRecords& records, const std::string& containerId,
                        std::string_view destination, const std::string& machinePath)
{
    auto host = toHostPath(machinePath);
    bool socket = machinePath == kDockerSocketInMachine;
    if (!host && !socket) return machinePath;
    if (auto spelled = records.spelled(containerId, tidyDestination(destination))) return *spelled;
    return socket ? "/var/run/docker.sock" : *host;
}

std::string withHostPathsOfContainer(std::string_view inspected, const BindRecords& records)
{
    std::vector<JsonEdit> edits;
    if (auto json = JsonText::scan(inspected)) ContainerEditor(*json, json->root(), records, edits);
    return withEdits(inspected, std::move(edits));
}

std::string withHostPathsOfContainers(std::string_view listed, const BindRecords& records)
{
    std::vector<JsonEdit> edits;
    if (auto json = JsonText::scan(listed))
        for (JsonSpan container : json->elements(json->root()))
            ContainerEditor(*json, container, records, edits);
    return withEdits(listed, std::move(edits));
}

std::string withMessage(std::string_view errorBody,
                        const std::function<std::string(const std::string&)>& edit)
{
    std::vector<JsonEdit> edits;
    if (auto json = JsonText::scan(errorBody))
        if (auto value = json->member(json->root(), "message"))
            if (auto message = json->string(*value))
                if (auto shown = edit(*message); shown != *message)
                    edits.push_back({*value, toJsonString(shown)});
    return withEdits(errorBody, std::move(edits));
}

}  // namespace slipway
