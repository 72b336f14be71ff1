#include "wsl-bridge/files/record_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/io/descriptor.h"

namespace slipway {
namespace {

class LinuxRecordFile final : public RecordFile {
public:
    LinuxRecordFile(Descriptor fd, std::filesystem::path path)
        : m_fd(std::move(fd)), m_path(std::move(path))
    {
    }

    Result<std::vector<std::byte>> contents() const override
    {
        struct stat stat {};
        if (::fstat(m_fd.get(), &stat) != 0) return failed("read", errno);
        std::vector<std::byte> bytes(static_cast<std::size_t>(stat.st_size));
        for (std::size_t at = 0; at < bytes.size();) {
            ssize_t count =
                ::pread(m_fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return failed("read", errno);
            if (count == 0) bytes.resize(at);
            at += static_cast<std::size_t>(count);
        }
        return bytes;
    }

    Result<> write(std::uint64_t offset, std::span<const std::byte> bytes) override
    {
        while (!bytes.empty()) {
            ssize_t count =
                ::pwrite(m_fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return failed("write", errno);
            bytes = bytes.subspan(static_cast<std::size_t>(count));
            offset += static_cast<std::uint64_t>(count);
        }
        return {};
    }

    Result<> clear() override
    {
        if (::ftruncate(m_fd.get(), 0) != 0) return failed("clear", errno);
        return {};
    }

private:
    tl::unexpected<Error> failed(const char* what, int error) const
    {
        return failErrno(fmt::format("{} {}", what, m_path.string()), error);
    }

    Descriptor m_fd;
    std::filesystem::path m_path;
};

}  // namespace

Result<std::unique_ptr<RecordFile>> openRecordFile(const std::filesystem::path& path)
{
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return failErrno(fmt::format("open {}", path.string()), errno);
    TRY_VOID(giveToFolderOwner(path));
    return std::make_unique<LinuxRecordFile>(std::move(fd), path);
}

}  // namespace slipway
