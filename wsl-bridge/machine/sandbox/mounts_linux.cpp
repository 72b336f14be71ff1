#include "wsl-bridge/machine/sandbox/mounts.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <sstream>

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fmt/format.h>

namespace slipway {
namespace {

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescaped(const std::string& text)
{
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size()) {
            plain += static_cast<char>(std::stoi(text.substr(i + 1, 3), nullptr, 8));
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

// What the kernel wrote to the context of a mount that failed, fsopen(2).
std::string kernelSays(int context)
{
    char text[512];
    auto count = ::read(context, text, sizeof text);
    if (count <= 2) return "";
    return " (" + std::string(text + 2, text + count - (text[count - 1] == '\n')) + ")";
}

}  // namespace

Result<Descriptor> newMount(const FileSystem& fileSystem)
{
    auto what = fmt::format("mount {}", fileSystem.type);
    Descriptor context(::fsopen(fileSystem.type.c_str(), FSOPEN_CLOEXEC));
    if (!context) return failErrno(what, errno);
    auto failed = [&] {
        int errnoValue = errno;
        return failErrno(what + kernelSays(context.get()), errnoValue);
    };
    auto options = fileSystem.options;
    if (options.empty() || options.front().first != "source") {
        options.insert(options.begin(),
                       {"source", fileSystem.type});  // For whoever reads mountinfo.
    }
    for (const auto& [key, value] : options) {
        int set =
            value.empty()
                ? ::fsconfig(context.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
                : ::fsconfig(context.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
        if (set < 0) {
            what += fmt::format(" with {}={}", key, value);
            return failed();
        }
    }
    if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0) return failed();
    unsigned attributes = fileSystem.noSuid ? MOUNT_ATTR_NOSUID : 0;
    Descriptor mounted(::fsmount(context.get(), FSMOUNT_CLOEXEC, attributes));
    if (!mounted) return failed();
    return mounted;
}

Result<> mountNew(const FileSystem& fileSystem, const std::filesystem::path& target)
{
    auto on = [&](Error error) { return context("on " + target.string(), std::move(error)); };
    return newMount(fileSystem)
        .and_then([&](const Descriptor& mounted) { return attachTree(mounted, target); })
        .map_error(on);
}

Result<Descriptor> cloneTree(const std::filesystem::path& source)
{
    Descriptor tree(
        ::open_tree(AT_FDCWD, source.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
    if (!tree) return failErrno(fmt::format("take the tree of {}", source.string()), errno);
    return tree;
}

Result<> attachTree(const Descriptor& tree, const std::filesystem::path& target)
{
    if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        return failErrno(fmt::format("attach a mount on {}", target.string()), errno);
    }
    return {};
}

Result<> bindTree(const std::filesystem::path& source, const std::filesystem::path& target,
                  bool readOnly)
{
    TRY(auto tree, cloneTree(source));
    if (readOnly) {
        mount_attr attributes{};
        attributes.attr_set = MOUNT_ATTR_RDONLY;
        if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes,
                            sizeof attributes) < 0) {
            return failErrno(fmt::format("make {} read-only", target.string()), errno);
        }
    }
    return attachTree(tree, target);
}

Result<> setPropagation(const std::filesystem::path& target, unsigned long flags)
{
    if (::mount(nullptr, target.c_str(), nullptr, MS_REC | flags, nullptr) < 0) {
        return failErrno(fmt::format("set how mounts propagate below {}", target.string()), errno);
    }
    return {};
}

Result<> makeFolders(const std::filesystem::path& folder)
{
    std::error_code failed;
    std::filesystem::create_directories(folder, failed);
    if (failed) return failErrno(fmt::format("make {}", folder.string()), failed.value());
    return {};
}

Result<> makeEmptyFile(const std::filesystem::path& file)
{
    TRY_VOID(makeFolders(file.parent_path()));
    Descriptor made(::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!made) return failErrno(fmt::format("make {}", file.string()), errno);
    return {};
}

Result<> writeText(const std::filesystem::path& file, const std::string& text)
{
    Descriptor opened(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!opened) return failErrno(fmt::format("open {}", file.string()), errno);
    if (::write(opened.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
        return failErrno(fmt::format("write {}", file.string()), errno);
    }
    return {};
}

std::vector<MountInfo> parseMountInfo(const std::string& text)
{
    // 36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/root rw,errors=continue
    std::vector<MountInfo> mounts;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string id, parent, options, point, word;
        MountInfo info;
        words >> id >> parent >> info.device >> info.root >> point >> options;
        while (words >> word && word != "-") {
        }
        words >> info.type >> info.source >> info.superOptions;
        if (info.type.empty()) continue;
        info.root = unescaped(info.root);
        info.point = unescaped(point);
        mounts.push_back(std::move(info));
    }
    return mounts;
}

std::vector<MountInfo> mountsOfThisProcess()
{
    return parseMountInfo(readText("/proc/self/mountinfo"));
}

std::string readText(const std::filesystem::path& file)
{
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace slipway
