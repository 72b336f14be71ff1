// The names of a folder as the kernel has them.
#pragma once

#include <cstring>
#include <vector>

#include "shared/fuse/request.h"
#include "wsl-bridge/files/file_tree.h"

namespace slipway {

// Fills a READDIR or READDIRPLUS answer.
class Listing {
public:
    Listing(std::vector<std::byte>& buffer, std::size_t limit, bool plus)
        : m_buffer(buffer), m_limit(limit), m_plus(plus)
    {
        if (m_buffer.size() < limit) m_buffer.resize(limit);
    }

    bool fits(std::string_view name) const { return m_used + bytesOf(name) <= m_limit; }

    void add(const DirectoryEntry& entry, const fuse::EntryOut& known)
    {
        fuse::Dirent dirent{entry.inode, entry.cursor,
                            static_cast<std::uint32_t>(entry.name.size()), entry.type >> 12};
        std::byte* at = m_buffer.data() + m_used;
        std::memset(at, 0, bytesOf(entry.name));
        m_used += bytesOf(entry.name);
        if (m_plus) {
            std::memcpy(at, &known, sizeof known);
            at += sizeof known;
        }
        std::memcpy(at, &dirent, sizeof dirent);
        std::memcpy(at + sizeof dirent, entry.name.data(), entry.name.size());
    }

    fuse::Bytes bytes() const { return std::span(m_buffer).first(m_used); }

private:
    std::size_t bytesOf(std::string_view name) const
    {
        return fuse::padded((m_plus ? sizeof(fuse::Direntplus) : sizeof(fuse::Dirent)) +
                            name.size());
    }

    std::vector<std::byte>& m_buffer;
    const std::size_t m_limit;
    const bool m_plus;
    std::size_t m_used = 0;
};

}  // namespace slipway
