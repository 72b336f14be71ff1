#include "wsl-bridge/engine/request_paths.h"

#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/bind_spec.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

class RequestEditor {
public:
    RequestEditor(const JsonText& json, const std::vector<std::filesystem::path>& endpointSockets,
                  const FindHostFolder& find)
        : m_json(json), m_endpointSockets(endpointSockets), m_find(find)
    {
    }

    Result<> edit(ApiCall call)
    {
        JsonSpan root = m_json.root();
        switch (call) {
            case ApiCall::ContainerCreate:
                request.ports = portRequestsIn(m_json);
                TRY_VOID(editMounts({"HostConfig", "Mounts"}, Missing::Refuse));
                for (JsonSpan binds : m_json.reach(root, {"HostConfig", "Binds"}))
                    for (JsonSpan bind : m_json.elements(binds)) TRY_VOID(editBind(bind));
                return {};
            case ApiCall::ServiceCreate:
            case ApiCall::ServiceUpdate:
                return editMounts({"TaskTemplate", "ContainerSpec", "Mounts"}, Missing::Leave);
            case ApiCall::VolumeCreate:
                return editVolume(root, "DriverOpts", m_json.stringIn(root, "Driver"), "");
            default:
                return {};
        }
    }

    std::vector<JsonEdit> edits;
    EditedRequest request;

private:
    Result<> editMounts(std::initializer_list<std::string_view> names, Missing missing)
    {
        for (JsonSpan mounts : m_json.reach(m_json.root(), names))
            for (JsonSpan mount : m_json.elements(mounts)) TRY_VOID(editMount(mount, missing));
        return {};
    }

    Result<> editMount(JsonSpan mount, Missing missing)
    {
        std::string target = m_json.stringIn(mount, "Target");
        for (JsonSpan driver : m_json.reach(mount, {"VolumeOptions", "DriverConfig"}))
            TRY_VOID(editVolume(driver, "Options", m_json.stringIn(driver, "Name"), target));
        std::string type = m_json.stringIn(mount, "Type");
        if (type == "npipe")
            return fail(Code::InvalidArgument,
                        "invalid mount config for type \"npipe\": mount type unknown: named pipes "
                        "are for Windows containers; bind a socket with type=bind");
        if (type != "bind") return {};
        for (JsonSpan create : m_json.reach(mount, {"BindOptions", "CreateMountpoint"}))
            if (m_json.isTrue(create)) missing = Missing::Create;
        return editPath(m_json.member(mount, "Source"), target, missing);
    }

    // The local driver binds `device` where the options of mount(8) in `o` say so.
    Result<> editVolume(JsonSpan volume, std::string_view optionsName, const std::string& driver,
                        const std::string& destination)
    {
        if (!driver.empty() && driver != "local") return {};
        for (JsonSpan options : m_json.members(volume, optionsName))
            if (isBind(m_json.stringIn(options, "o")))
                TRY_VOID(editPath(m_json.member(options, "device"), destination, Missing::Leave));
        return {};
    }

    Result<> editBind(JsonSpan bind)
    {
        auto text = m_json.string(bind);
        auto spec = text ? parseBind(*text) : std::nullopt;
        if (!spec) return {};
        TRY(auto machine, toMachine(spec->source, spec->destination, Missing::Create));
        if (!machine) return {};
        spec->source = *machine;
        edits.push_back({bind, toJsonString(spec->text())});
        return {};
    }

    Result<> editPath(std::optional<JsonSpan> value, const std::string& destination,
                      Missing missing)
    {
        auto spelled = value ? m_json.string(*value) : std::nullopt;
        if (!spelled || !spelled->starts_with('/'))
            return {};  // dockerd refuses it in its own words.
        TRY(auto machine, toMachine(*spelled, destination, missing));
        if (machine) edits.push_back({*value, toJsonString(*machine)});
        return {};
    }

    // None for what is the machine's own.
    Result<std::optional<std::string>> toMachine(const std::string& spelled,
                                                 const std::string& destination, Missing missing)
    {
        std::string machine(kDockerSocketInMachine);
        switch (ownerOf(spelled, m_endpointSockets)) {
            case PathOwner::Machine:
                return std::nullopt;
            case PathOwner::DockerSocket:
                break;
            case PathOwner::Host:
                TRY(auto canonical, m_find(spelled, missing));
                // The endpoint by another way to it.
                if (ownerOf(canonical.string(), m_endpointSockets) == PathOwner::DockerSocket)
                    break;
                request.hostPaths.push_back(canonical);
                machine = toMachinePath(canonical);
        }
        request.binds.push_back({tidyDestination(destination), machine, spelled});
        return machine;
    }

    const JsonText& m_json;
    const std::vector<std::filesystem::path>& m_endpointSockets;
    const FindHostFolder& m_find;
};

}  // namespace

bool namesBinds(ApiCall call)
{
    return call == ApiCall::ContainerCreate || call == ApiCall::ServiceCreate ||
           call == ApiCall::ServiceUpdate || call == ApiCall::VolumeCreate;
}

Result<EditedRequest> editRequest(ApiCall call, std::string_view body,
                                  const std::vector<std::filesystem::path>& endpointSockets,
                                  const FindHostFolder& find)
{
    if (body.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return EditedRequest{std::string(body), {}, {}, {}};
    auto json = JsonText::scan(body);
    if (!json) return fail(Code::InvalidArgument, "invalid JSON in the request's body");
    RequestEditor editor(*json, endpointSockets, find);
    TRY_VOID(editor.edit(call));
    editor.request.body = withEdits(body, std::move(editor.edits));
    return std::move(editor.request);
}

}  // namespace slipway
