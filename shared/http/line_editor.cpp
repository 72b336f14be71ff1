#include "shared/http/line_editor.h"

#include <utility>

#include <fmt/format.h>

namespace slipway::http {
namespace {

constexpr std::size_t kMaxLineBytes = 1u << 20;

}  // namespace

std::string LineEditor::take(std::string_view content, bool ended)
{
    std::string edited;
    for (;;) {
        std::size_t newline = content.find('\n');
        m_line += content.substr(0, newline == content.npos ? newline : newline + 1);
        if (newline == content.npos) break;
        edited += m_edit(std::exchange(m_line, {}));
        content.remove_prefix(newline + 1);
    }
    if (ended && !m_line.empty()) edited += m_edit(std::exchange(m_line, {}));
    if (m_line.size() > kMaxLineBytes) edited += std::exchange(m_line, {});
    std::string chunks;
    if (!edited.empty()) chunks = fmt::format("{:x}\r\n{}\r\n", edited.size(), edited);
    return ended ? chunks + "0\r\n\r\n" : chunks;
}

}  // namespace slipway::http
