#include "wsl-bridge/engine/answer_paths.h"

#include "shared/paths/host_path.h"
#include "wsl-bridge/engine/bind_spec.h"
#include "wsl-bridge/engine/json_text.h"

namespace slipway {
namespace {

class AnswerEditor {
public:
    AnswerEditor(const JsonText& json, const Records& records) : m_json(json), m_records(records) {}

    void edit(ApiCall call)
    {
        JsonSpan root = m_json.root();
        switch (call) {
            case ApiCall::ContainerInspect:
                return editContainer(root);
            case ApiCall::ContainerList:
                return editEach({root}, &AnswerEditor::editContainer);
            case ApiCall::ServiceInspect:
                return editService(root);
            case ApiCall::ServiceList:
                return editEach({root}, &AnswerEditor::editService);
            case ApiCall::TaskInspect:
                return editTask(root);
            case ApiCall::TaskList:
                return editEach({root}, &AnswerEditor::editTask);
            case ApiCall::VolumeCreate:
            case ApiCall::VolumeInspect:
                return editVolume(root);
            case ApiCall::VolumeList:
                return editEach(m_json.members(root, "Volumes"), &AnswerEditor::editVolume);
            case ApiCall::SystemDf:
                editEach(m_json.members(root, "Containers"), &AnswerEditor::editContainer);
                return editEach(m_json.members(root, "Volumes"), &AnswerEditor::editVolume);
            default:
                return;
        }
    }

    std::vector<JsonEdit> edits;

private:
    void editEach(const std::vector<JsonSpan>& arrays, void (AnswerEditor::*editOne)(JsonSpan))
    {
        for (JsonSpan array : arrays)
            for (JsonSpan one : m_json.elements(array)) (this->*editOne)(one);
    }

    void editContainer(JsonSpan container)
    {
        BindOwner owner{.container = m_json.stringIn(container, "Id")};
        for (JsonSpan labels : m_json.members(container, "Labels"))
            owner.service = m_json.stringIn(labels, kServiceLabel);
        for (JsonSpan labels : m_json.reach(container, {"Config", "Labels"}))
            owner.service = m_json.stringIn(labels, kServiceLabel);
        editMounts(m_json.members(container, "Mounts"), "Destination", owner);
        editMounts(m_json.reach(container, {"HostConfig", "Mounts"}), "Target", owner);
        for (JsonSpan binds : m_json.reach(container, {"HostConfig", "Binds"}))
            for (JsonSpan bind : m_json.elements(binds)) editBind(bind, owner);
        editMessages(m_json.reach(container, {"State", "Error"}));
    }

    void editService(JsonSpan service)
    {
        BindOwner owner{.service = m_json.stringIn(service, "ID")};
        for (std::string_view spec : {"Spec", "PreviousSpec"})
            editMounts(m_json.reach(service, {spec, "TaskTemplate", "ContainerSpec", "Mounts"}),
                       "Target", owner);
        editMessages(m_json.reach(service, {"UpdateStatus", "Message"}));
    }

    void editTask(JsonSpan task)
    {
        BindOwner owner{.service = m_json.stringIn(task, "ServiceID")};
        editMounts(m_json.reach(task, {"Spec", "ContainerSpec", "Mounts"}), "Target", owner);
        for (std::string_view message : {"Message", "Err"})
            editMessages(m_json.reach(task, {"Status", message}));
    }

    void editVolume(JsonSpan volume)
    {
        BindOwner owner{.volume = m_json.stringIn(volume, "Name")};
        editDevice(m_json.members(volume, "Options"), "", owner);
    }

    void editMounts(const std::vector<JsonSpan>& arrays, std::string_view destinationName,
                    const BindOwner& owner)
    {
        for (JsonSpan mounts : arrays)
            for (JsonSpan mount : m_json.elements(mounts)) {
                std::string destination = m_json.stringIn(mount, destinationName);
                editDevice(m_json.reach(mount, {"VolumeOptions", "DriverConfig", "Options"}),
                           destination, owner);
                if (m_json.stringIn(mount, "Type") == "bind")
                    editPath(m_json.member(mount, "Source"), destination, owner);
            }
    }

    void editDevice(const std::vector<JsonSpan>& volumeOptions, const std::string& destination,
                    const BindOwner& owner)
    {
        for (JsonSpan options : volumeOptions)
            if (isBind(m_json.stringIn(options, "o")))
                editPath(m_json.member(options, "device"), destination, owner);
    }

    void editPath(std::optional<JsonSpan> value, const std::string& destination,
                  const BindOwner& owner)
    {
        if (auto path = value ? m_json.string(*value) : std::nullopt)
            replace(*value, *path, m_records.shown(owner, destination, *path));
    }

    void editBind(JsonSpan bind, const BindOwner& owner)
    {
        auto text = m_json.string(bind);
        auto spec = text ? parseBind(*text) : std::nullopt;
        if (!spec) return;
        spec->source = m_records.shown(owner, spec->destination, spec->source);
        replace(bind, *text, spec->text());
    }

    void editMessages(const std::vector<JsonSpan>& messages)
    {
        for (JsonSpan message : messages)
            if (auto text = m_json.string(message))
                replace(message, *text, m_records.shownIn(*text, {}));
    }

    void replace(JsonSpan where, const std::string& old, const std::string& text)
    {
        if (text != old) edits.push_back({where, toJsonString(text)});
    }

    const JsonText& m_json;
    const Records& m_records;
};

std::string withStrings(const JsonText& json, const std::vector<JsonSpan>& values,
                        const MessageEdit& edit)
{
    std::vector<JsonEdit> edits;
    for (JsonSpan value : values)
        if (auto text = json.string(value))
            if (auto shown = edit(*text); shown != *text)
                edits.push_back({value, toJsonString(shown)});
    return withEdits(json.text(), std::move(edits));
}

}  // namespace

bool showsBinds(ApiCall call)
{
    switch (call) {
        case ApiCall::ContainerInspect:
        case ApiCall::ContainerList:
        case ApiCall::ServiceInspect:
        case ApiCall::ServiceList:
        case ApiCall::TaskInspect:
        case ApiCall::TaskList:
        case ApiCall::VolumeCreate:
        case ApiCall::VolumeInspect:
        case ApiCall::VolumeList:
        case ApiCall::SystemDf:
            return true;
        default:
            return false;
    }
}

std::string withHostPaths(ApiCall call, std::string_view body, const Records& records)
{
    auto json = JsonText::scan(body);
    if (!json) return std::string(body);
    AnswerEditor editor(*json, records);
    editor.edit(call);
    return withEdits(body, std::move(editor.edits));
}

std::string withMessage(std::string_view errorBody, const MessageEdit& edit)
{
    auto json = JsonText::scan(errorBody);
    if (!json) return std::string(errorBody);
    return withStrings(*json, json->members(json->root(), "message"), edit);
}

std::string withStreamedError(std::string_view line, const MessageEdit& edit)
{
    if (line.find("error") == line.npos) return std::string(line);
    auto json = JsonText::scan(line);
    if (!json) return std::string(line);
    auto messages = json->reach(json->root(), {"errorDetail", "message"});
    for (JsonSpan error : json->members(json->root(), "error")) messages.push_back(error);
    return withStrings(*json, messages, edit);
}

}  // namespace slipway
