#include "wsl-bridge/files/mapped_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/io/descriptor.h"

namespace slipway {
namespace {

// All addresses that may ever be needed are taken at once, so growing moves nothing. Disk space is
// taken with posix_fallocate, as a store into a hole on a full disk would end the process (SIGBUS).
class LinuxMappedFile final : public MappedFile {
public:
    LinuxMappedFile(Descriptor fd, std::filesystem::path path, std::size_t size, std::byte* data,
                    std::size_t maxBytes)
        : m_fd(std::move(fd)),
          m_path(std::move(path)),
          m_size(size),
          m_data(data),
          m_maxBytes(maxBytes)
    {
    }
    ~LinuxMappedFile() override { ::munmap(m_data, m_maxBytes); }

    std::byte* data() override { return m_data; }
    std::size_t size() const override { return m_size; }

    Result<> grow(std::size_t bytes) override
    {
        if (bytes <= m_size) return {};
        if (bytes > m_maxBytes) return failErrno(fmt::format("grow {}", m_path.string()), EFBIG);
        int error = ::posix_fallocate(m_fd.get(), 0, static_cast<off_t>(bytes));
        if (error != 0) return failErrno(fmt::format("grow {}", m_path.string()), error);
        m_size = bytes;
        return {};
    }

private:
    Descriptor m_fd;
    std::filesystem::path m_path;
    std::size_t m_size;
    std::byte* m_data;
    std::size_t m_maxBytes;
};

}  // namespace

Result<std::unique_ptr<MappedFile>> mapFile(const std::filesystem::path& path, std::size_t bytes,
                                            std::size_t maxBytes)
{
    Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return failErrno(fmt::format("open {}", path.string()), errno);
    TRY_VOID(giveToFolderOwner(path));
    struct stat stat {};
    if (::fstat(fd.get(), &stat) != 0)
        return failErrno(fmt::format("stat {}", path.string()), errno);
    void* data =
        ::mmap(nullptr, maxBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
    if (data == MAP_FAILED) return failErrno(fmt::format("map {}", path.string()), errno);
    auto file = std::make_unique<LinuxMappedFile>(std::move(fd), path,
                                                  static_cast<std::size_t>(stat.st_size),
                                                  static_cast<std::byte*>(data), maxBytes);
    TRY_VOID(file->grow(bytes));
    return file;
}

}  // namespace slipway
