#include <cerrno>
#include <cstdio>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"
#include "wsl-bridge/machine/sandbox/mounts.h"
#include "wsl-bridge/machine/sandbox/namespaces.h"
#include "wsl-bridge/machine/sandbox/start.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr auto kUnpackTimeout = std::chrono::minutes(15);
constexpr auto kProgressEvery = std::chrono::milliseconds(200);

Result<std::optional<UserMap>> mapIfRootless()
{
    if (::geteuid() == 0) return std::nullopt;
    TRY(auto map, userMapOfThisUser());
    return map;
}

// Runs tar on the open archive. The offset of its descriptor, which tar shares, tells how far it
// is.
Result<> untar(const Descriptor& archive, const fs::path& name, const fs::path& folder)
{
    struct stat info {};
    if (::fstat(archive.get(), &info) < 0) return failErrno(name.string(), errno);
    Command tar;
    tar.program = "tar";
    // Device nodes can't be made in a user namespace; the machine gets a /dev of its own anyway.
    tar.args = {"--extract",
                "--file=-",
                "--directory",
                folder.string(),
                "--numeric-owner",
                "--same-owner",
                "--preserve-permissions",
                "--exclude=./dev/*",
                "--exclude=dev/*"};
    auto extension = name.extension().string();
    if (extension == ".zst") tar.args.push_back("--zstd");
    if (extension == ".xz") tar.args.push_back("--xz");
    if (extension == ".gz" || extension == ".tgz") tar.args.push_back("--gzip");
    tar.input = archive.get();
    tar.diesWithUs = true;

    Loop loop;
    std::optional<Result<Output>> ended;
    auto tool = startRun(loop, tar, kUnpackTimeout, [&](Result<Output> output) {
        ended = std::move(output);
        loop.stop();
    });
    Timer progress(loop);
    off_t shown = -1;
    progress.every(kProgressEvery, [&] {
        auto percent = ::lseek(archive.get(), 0, SEEK_CUR) * 100 / std::max<off_t>(info.st_size, 1);
        if (percent == shown) return;
        shown = percent;
        std::printf("%lld\n", static_cast<long long>(percent));
        std::fflush(stdout);
    });
    loop.run();
    if (!*ended) return tl::unexpected<Error>(std::move(*ended).error());
    if ((*ended)->exitCode == 0) return {};
    return fail(Code::DataLoss,
                fmt::format("tar: exit code {}: {}", (*ended)->exitCode, (*ended)->err));
}

Result<> removeAll(const fs::path& folder)
{
    std::error_code failed;
    fs::remove_all(folder, failed);
    if (failed) return failErrno(fmt::format("remove {}", folder.string()), failed.value());
    return {};
}

}  // namespace

Result<> unpackRoot(const fs::path& archive, const fs::path& folder)
{
    Descriptor opened(::open(archive.c_str(), O_RDONLY | O_CLOEXEC));
    if (!opened) return failErrno(fmt::format("open {}", archive.string()), errno);
    TRY(auto map, mapIfRootless());
    auto partial = folder;
    partial += ".partial";
    return runAsMappedRoot(map, [&]() -> Result<> {
        TRY_VOID(removeAll(partial));
        TRY_VOID(makeFolders(partial));
        auto unpacked = untar(opened, archive, partial);
        if (!unpacked) {
            (void)removeAll(partial);
            return tl::unexpected<Error>(
                context(fmt::format("unpack {}", archive.string()), std::move(unpacked).error()));
        }
        if (::rename(partial.c_str(), folder.c_str()) < 0) {
            return failErrno(fmt::format("name {}", folder.string()), errno);
        }
        return {};
    });
}

Result<> removeTree(const fs::path& folder)
{
    TRY(auto map, mapIfRootless());
    return runAsMappedRoot(map, [&] { return removeAll(folder); });
}

}  // namespace slipway
