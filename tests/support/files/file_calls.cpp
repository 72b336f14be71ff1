#include "tests/support/files/file_calls.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <unistd.h>

#include "shared/io/descriptor.h"

namespace slipway::test {

std::set<std::string> namesIn(const std::string& path)
{
    std::set<std::string> names;
    std::error_code error;
    std::filesystem::directory_iterator entry(path, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        names.insert(entry->path().filename());
    }
    if (error) std::fprintf(stderr, "list %s: %s\n", path.c_str(), error.message().c_str());
    return names;
}

std::optional<std::string> textIn(const std::string& path)
{
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return std::nullopt;
    std::string text;
    char part[65536];
    for (ssize_t count = 0; (count = ::read(file.get(), part, sizeof part)) != 0;) {
        if (count < 0) {
            std::fprintf(stderr, "read %s: %s\n", path.c_str(), std::strerror(errno));
            return std::nullopt;
        }
        text.append(part, static_cast<std::size_t>(count));
    }
    return text;
}

std::optional<struct stat> statOf(const std::string& path)
{
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0) return std::nullopt;
    return facts;
}

bool writeText(const std::string& path, std::string_view text, std::ios::openmode mode)
{
    std::ofstream out(path, std::ios::binary | mode | std::ios::out);
    out << text << std::flush;
    return static_cast<bool>(out);
}

}  // namespace slipway::test
