#include "wsl-bridge/engine/create_request.h"

#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/bind_spec.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

class CreateEditor {
public:
    CreateEditor(const JsonText& json, const std::filesystem::path& endpointSocket,
                 const FindHostFolder& find)
        : m_json(json), m_endpointSocket(endpointSocket), m_find(find)
    {
    }

    Result<> editAll()
    {
        auto hostConfigs = m_json.members(m_json.root(), "HostConfig");
        for (JsonSpan hostConfig : hostConfigs)
            for (JsonSpan mounts : m_json.members(hostConfig, "Mounts"))
                for (JsonSpan mount : m_json.elements(mounts)) TRY_VOID(editMount(mount));
        for (JsonSpan hostConfig : hostConfigs)
            for (JsonSpan binds : m_json.members(hostConfig, "Binds"))
                for (JsonSpan bind : m_json.elements(binds)) TRY_VOID(editBind(bind));
        return {};
    }

    std::vector<JsonEdit> edits;
    CreateRequest request;

private:
    std::optional<std::string> stringMember(JsonSpan object, std::string_view name) const
    {
        auto value = m_json.member(object, name);
        return value ? m_json.string(*value) : std::nullopt;
    }

    Result<> editMount(JsonSpan mount)
    {
        if (stringMember(mount, "Type") != "bind") return {};
        auto source = m_json.member(mount, "Source");
        auto spelled = stringMember(mount, "Source");
        if (!spelled || !spelled->starts_with('/'))
            return {};  // dockerd refuses it in its own words.
        Missing missing = Missing::Refuse;
        if (auto options = m_json.member(mount, "BindOptions"))
            if (auto create = m_json.member(*options, "CreateMountpoint"))
                if (m_json.isTrue(*create)) missing = Missing::Create;
        TRY(auto machine, toMachine(*spelled, missing));
        if (!machine) return {};
        edits.push_back({*source, toJsonString(*machine)});
        note(stringMember(mount, "Target").value_or(""), *spelled);
        return {};
    }

    Result<> editBind(JsonSpan bind)
    {
        auto text = m_json.string(bind);
        auto spec = text ? parseBind(*text) : std::nullopt;
        if (!spec) return {};
        TRY(auto machine, toMachine(spec->source, Missing::Create));
        if (!machine) return {};
        note(spec->destination, spec->source);
        spec->source = *machine;
        edits.push_back({bind, toJsonString(spec->text())});
        return {};
    }

    // None for what is the machine's own.
    Result<std::optional<std::string>> toMachine(const std::string& spelled, Missing missing)
    {
        switch (ownerOf(spelled, m_endpointSocket)) {
            case PathOwner::Machine:
                return std::nullopt;
            case PathOwner::DockerSocket:
                return std::string(kDockerSocketInMachine);
            case PathOwner::Host:
                break;
        }
        TRY(auto canonical, m_find(spelled, missing));
        request.hostPaths.push_back(canonical);
        return toMachinePath(canonical);
    }

    void note(const std::string& destination, const std::string& spelled)
    {
        request.binds.push_back({tidyDestination(destination), spelled});
    }

    const JsonText& m_json;
    const std::filesystem::path& m_endpointSocket;
    const FindHostFolder& m_find;
};

}  // namespace

Result<CreateRequest> editCreate(std::string_view body, const std::filesystem::path& endpointSocket,
                                 const FindHostFolder& find)
{
    auto json = JsonText::scan(body);
    if (!json) return CreateRequest{std::string(body), {}, {}};
    CreateEditor editor(*json, endpointSocket, find);
    TRY_VOID(editor.editAll());
    editor.request.body = withEdits(body, std::move(editor.edits));
    return std::move(editor.request);
}

}  // namespace slipway
