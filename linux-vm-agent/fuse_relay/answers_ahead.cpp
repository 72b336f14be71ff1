#include "linux-vm-agent/fuse_relay/answers_ahead.h"

#include <cstring>

namespace slipway {

using fuse::Opcode;
using fuse::OutHeader;

namespace {

constexpr std::size_t kMaxNodes = 65536;  // Some 10 MB.

}  // namespace

bool AnswersAhead::follow(fuse::Bytes message)
{
    fuse::Body body(message);
    auto header = body.take<OutHeader>();
    if (header.unique != 0) return false;
    std::lock_guard lock(m_mutex);
    switch (static_cast<fuse::Notify>(header.error)) {
        case fuse::Notify::Ahead: {
            auto ahead = body.take<fuse::AheadBody>();
            bool takenBack = body.left() == 0;
            auto attributes = body.take<fuse::AttrOut>();
            if (takenBack || !body.good() || m_attributes.size() >= kMaxNodes) {
                m_attributes.erase(ahead.node);
            } else {
                m_attributes.insert_or_assign(ahead.node, attributes);
            }
            return true;
        }
        case fuse::Notify::InvalInode:
            m_attributes.erase(body.take<fuse::NotifyInvalInode>().ino);
            return false;
        default:
            return false;
    }
}

void AnswersAhead::clear()
{
    std::lock_guard lock(m_mutex);
    m_attributes.clear();
}

std::optional<std::vector<std::byte>> AnswersAhead::answerTo(const fuse::Request& request)
{
    const auto& header = request.header;
    bool forgets = header.opcode == Opcode::Forget || header.opcode == Opcode::BatchForget;
    if (!forgets && header.opcode != Opcode::Getattr) return std::nullopt;
    if (header.gid == fuse::kInjectorGid) return std::nullopt;  // It is told other things.
    std::lock_guard lock(m_mutex);
    if (forgets) {
        forget(request);
        return std::nullopt;
    }
    auto found = m_attributes.find(header.nodeid);
    if (found == m_attributes.end()) return std::nullopt;
    OutHeader out{sizeof out + sizeof found->second, 0, header.unique};
    std::vector<std::byte> answer(out.len);
    std::memcpy(answer.data(), &out, sizeof out);
    std::memcpy(answer.data() + sizeof out, &found->second, sizeof found->second);
    return answer;
}

void AnswersAhead::forget(const fuse::Request& request)
{
    if (request.header.opcode == Opcode::Forget) {
        m_attributes.erase(request.header.nodeid);
        return;
    }
    fuse::Body body(request.body);
    auto in = body.take<fuse::BatchForgetIn>();
    for (std::uint32_t i = 0; i < in.count && body.good(); ++i)
        m_attributes.erase(body.take<fuse::ForgetOne>().nodeid);
}

}  // namespace slipway
