#include "shared/fuse/request.h"

namespace slipway::fuse {

std::string_view Body::text()
{
    const auto* begin = reinterpret_cast<const char*>(m_rest.data());
    const auto* end = m_rest.empty() ? nullptr : std::memchr(begin, 0, m_rest.size());
    if (!end) {
        fail();
        return {};
    }
    std::string_view text(begin, static_cast<const char*>(end));
    m_rest = m_rest.subspan(text.size() + 1);
    return text;
}

std::string_view Body::name()
{
    std::string_view name = text();
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos) {
        fail();
        return {};
    }
    if (name.size() > kMaxNameBytes) {
        fail(Errno::NameTooLong);
        return {};
    }
    return name;
}

Bytes Body::data(std::size_t size)
{
    if (m_rest.size() < size) {
        fail();
        return {};
    }
    Bytes data = m_rest.first(size);
    m_rest = m_rest.subspan(size);
    return data;
}

std::optional<Request> parseRequest(Bytes message)
{
    Body whole(message);
    auto header = whole.take<InHeader>();
    if (!whole.good() || header.len != message.size()) return std::nullopt;
    return Request{header, message.subspan(sizeof header)};
}

}  // namespace slipway::fuse
