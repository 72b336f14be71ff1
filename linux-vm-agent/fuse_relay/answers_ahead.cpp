#include "linux-vm-agent/fuse_relay/answers_ahead.h"

#include <algorithm>
#include <cstring>

#include "shared/io/byte_stream.h"

namespace slipway {

using fuse::Opcode;
using fuse::OutHeader;

namespace {

constexpr std::size_t kMaxNodes = 65536;    // Some 20 MB.
constexpr std::size_t kMaxForgets = 16384;  // In one message.
constexpr std::size_t kMaxContentBytes = 8 << 20;
constexpr std::size_t kMaxContents = 16384;

template <class T>
void append(std::vector<std::byte>& message, const T& value)
{
    auto bytes = std::as_bytes(std::span(&value, 1));
    message.insert(message.end(), bytes.begin(), bytes.end());
}

template <class T>
std::vector<std::byte> answer(const fuse::InHeader& to, const T& value)
{
    std::vector<std::byte> message;
    message.reserve(sizeof(OutHeader) + sizeof value);
    append(message, OutHeader{sizeof(OutHeader) + sizeof value, 0, to.unique});
    append(message, value);
    return message;
}

}  // namespace

bool AnswersAhead::follow(fuse::Bytes message)
{
    fuse::Body body(message);
    auto header = body.take<OutHeader>();
    if (header.unique != 0) return false;
    std::lock_guard lock(m_mutex);
    switch (static_cast<fuse::Notify>(header.error)) {
        case fuse::Notify::Ahead:
            tell(body);
            return true;
        case fuse::Notify::InvalInode:
            drop(body.take<fuse::NotifyInvalInode>().ino);
            return false;
        case fuse::Notify::InvalEntry: {
            auto in = body.take<fuse::NotifyInvalEntry>();
            auto name = body.data(in.namelen);
            if (body.good()) dropEntry({in.parent, std::string(textOf(name))});
            return false;
        }
        case fuse::Notify::IncEpoch:
            while (!m_entries.empty()) dropEntry(Name(m_entries.begin()->first));
            return false;
        default:
            return false;
    }
}

void AnswersAhead::tell(fuse::Body body)
{
    auto ahead = body.take<fuse::AheadBody>();
    Name name{ahead.node, textOf(body.data(ahead.nameBytes))};
    if (m_nodes.size() >= kMaxNodes) drop(m_nodes.begin()->first);
    switch (ahead.question) {
        case Opcode::Getattr: {
            auto attributes = body.take<fuse::AttrOut>();
            if (!body.good()) return drop(ahead.node);
            About& about = m_nodes[ahead.node];
            dropAnswers(about);
            about.attributes = attributes;
            for (const Name& known : about.entries) {
                auto& entry = m_entries[known];
                entry.attr = attributes.attr;
                entry.attrValid = attributes.attrValid;
            }
            break;
        }
        case Opcode::Lookup: {
            auto entry = body.take<fuse::EntryOut>();
            if (!body.good()) break;
            dropEntry(name);
            m_nodes[entry.nodeid].entries.push_back(name);
            m_entries[name] = entry;
            break;
        }
        case Opcode::Readdir:
            if (!body.good()) break;
            m_nodes[ahead.node].listing = {body.rest().begin(), body.rest().end()};
            break;
        case Opcode::Readdirplus:
            if (body.good()) m_nodes[ahead.node].listingEnd = ahead.offset;
            break;
        case Opcode::Read:
            if (body.good()) keepContents(ahead.node, body.rest());
            break;
        default:
            drop(ahead.node);
    }
}

void AnswersAhead::drop(std::uint64_t node)
{
    auto found = m_nodes.find(node);
    if (found == m_nodes.end()) return;
    for (const Name& name : found->second.entries) {
        m_entries.erase(name);
        m_forgets.push_back({node, 1});
    }
    dropContents(found->second);
    m_nodes.erase(found);
}

void AnswersAhead::keepContents(std::uint64_t node, fuse::Bytes contents)
{
    About& about = m_nodes[node];
    dropContents(about);
    about.contents.assign(contents.begin(), contents.end());
    m_contentBytes += contents.size();
    m_withContents.push_back(node);
    while (m_contentBytes > kMaxContentBytes || m_withContents.size() > kMaxContents) {
        auto oldest = m_nodes.find(m_withContents.front());
        m_withContents.pop_front();
        if (oldest != m_nodes.end()) dropContents(oldest->second);
    }
}

// All but the entries.
void AnswersAhead::dropAnswers(About& about)
{
    dropContents(about);
    about.attributes.reset();
    about.listingEnd.reset();
    about.listing = {};
}

void AnswersAhead::dropContents(About& about)
{
    m_contentBytes -= about.contents.size();
    about.contents = {};
}

void AnswersAhead::dropEntry(const Name& name)
{
    auto found = m_entries.find(name);
    if (found == m_entries.end()) return;
    m_forgets.push_back({found->second.nodeid, 1});
    std::erase(m_nodes[found->second.nodeid].entries, name);
    m_entries.erase(found);
}

void AnswersAhead::clear()
{
    std::lock_guard lock(m_mutex);
    for (const auto& [name, entry] : m_entries) m_forgets.push_back({entry.nodeid, 1});
    m_entries.clear();
    m_nodes.clear();
    m_withContents.clear();
    m_contentBytes = 0;
}

AnswersAhead::Message AnswersAhead::takeForgets()
{
    std::lock_guard lock(m_mutex);
    Message message;
    if (m_forgets.empty()) return message;
    std::size_t count = std::min(m_forgets.size(), kMaxForgets);
    fuse::InHeader header{};
    header.opcode = Opcode::BatchForget;
    header.len = static_cast<std::uint32_t>(sizeof header + sizeof(fuse::BatchForgetIn) +
                                            count * sizeof(fuse::ForgetOne));
    message.reserve(header.len);
    append(message, header);
    append(message, fuse::BatchForgetIn{static_cast<std::uint32_t>(count), 0});
    for (; count > 0; --count) {
        append(message, m_forgets.back());
        m_forgets.pop_back();
    }
    return message;
}

std::optional<AnswersAhead::Message> AnswersAhead::answerTo(const fuse::Request& request)
{
    const auto& header = request.header;
    if (header.gid == fuse::kInjectorGid) return std::nullopt;  // It is told other things.
    std::lock_guard lock(m_mutex);
    fuse::Body body(request.body);
    switch (header.opcode) {
        case Opcode::Getattr:
            return attributesOf(header);
        case Opcode::Lookup:
            return entryOf(request);
        case Opcode::Readdirplus:
            if (auto end = listingEndOf(request)) return end;
            return listingOf(request);
        case Opcode::Read:
            return contentsOf(request);
        case Opcode::Forget:
            forgotten(header.nodeid);
            return std::nullopt;
        case Opcode::BatchForget: {
            auto in = body.take<fuse::BatchForgetIn>();
            for (std::uint32_t i = 0; i < in.count && body.good(); ++i)
                forgotten(body.take<fuse::ForgetOne>().nodeid);
            return std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

// By the kernel: it is not about to ask for these.
void AnswersAhead::forgotten(std::uint64_t node)
{
    auto found = m_nodes.find(node);
    if (found == m_nodes.end()) return;
    dropAnswers(found->second);
    if (found->second.entries.empty()) m_nodes.erase(found);
}

std::optional<AnswersAhead::Message> AnswersAhead::attributesOf(const fuse::InHeader& header)
{
    auto found = m_nodes.find(header.nodeid);
    if (found == m_nodes.end() || !found->second.attributes) return std::nullopt;
    return answer(header, *found->second.attributes);
}

std::optional<AnswersAhead::Message> AnswersAhead::entryOf(const fuse::Request& request)
{
    fuse::Body body(request.body);
    auto entry = takeEntry({request.header.nodeid, std::string(body.name())});
    if (!entry) return std::nullopt;
    return answer(request.header, *entry);
}

// The kernel is about to have it.
std::optional<fuse::EntryOut> AnswersAhead::takeEntry(const Name& name)
{
    auto found = m_entries.find(name);
    if (found == m_entries.end()) return std::nullopt;
    auto entry = found->second;
    std::erase(m_nodes[entry.nodeid].entries, name);
    m_entries.erase(found);
    return entry;
}

std::optional<AnswersAhead::Message> AnswersAhead::listingEndOf(const fuse::Request& request)
{
    fuse::Body body(request.body);
    auto in = body.take<fuse::ReadIn>();
    auto found = m_nodes.find(request.header.nodeid);
    if (found == m_nodes.end() || !body.good() || found->second.listingEnd != in.offset)
        return std::nullopt;
    found->second.listingEnd.reset();
    Message message;
    append(message, OutHeader{sizeof(OutHeader), 0, request.header.unique});
    return message;
}

// From where the kernel is in it: behind one of its names, or at the beginning.
std::optional<AnswersAhead::Message> AnswersAhead::listingOf(const fuse::Request& request)
{
    fuse::Body body(request.body);
    auto in = body.take<fuse::ReadIn>();
    std::uint64_t folder = request.header.nodeid;
    auto found = m_nodes.find(folder);
    if (found == m_nodes.end() || !body.good()) return std::nullopt;
    About& about = found->second;
    Message message;
    append(message, OutHeader{sizeof(OutHeader), 0, request.header.unique});
    fuse::Body rest(about.listing);
    std::uint64_t at = 0;
    bool whole = true;
    while (rest.left() > 0) {
        auto dirent = rest.take<fuse::Dirent>();
        auto name = rest.data(fuse::padded(sizeof dirent + dirent.namelen) - sizeof dirent);
        if (!rest.good()) break;
        bool isAsked = at == in.offset || message.size() > sizeof(OutHeader);
        auto bytes = sizeof(fuse::EntryOut) + sizeof dirent + name.size();
        whole = !isAsked || message.size() + bytes <= sizeof(OutHeader) + in.size;
        if (!whole) break;
        at = dirent.off;
        if (!isAsked) continue;
        Name entry{folder, textOf(name.first(dirent.namelen))};
        append(message, takeEntry(entry).value_or(fuse::EntryOut{}));
        append(message, dirent);
        message.insert(message.end(), name.begin(), name.end());
    }
    if (message.size() == sizeof(OutHeader)) return std::nullopt;
    auto length = static_cast<std::uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof length);
    if (whole) {
        about.listing = {};
        about.listingEnd = at;
    }
    return message;
}

// Once, as the kernel keeps what it has read; but where it asks for a part, it may ask for the
// rest.
std::optional<AnswersAhead::Message> AnswersAhead::contentsOf(const fuse::Request& request)
{
    fuse::Body body(request.body);
    auto in = body.take<fuse::ReadIn>();
    auto found = m_nodes.find(request.header.nodeid);
    if (found == m_nodes.end() || !body.good() || found->second.contents.empty())
        return std::nullopt;
    fuse::Bytes contents = found->second.contents;
    contents = contents.subspan(std::min<std::uint64_t>(in.offset, contents.size()));
    bool isLast = contents.size() <= in.size;
    contents = contents.first(std::min<std::size_t>(in.size, contents.size()));
    Message message;
    auto length = static_cast<std::uint32_t>(sizeof(OutHeader) + contents.size());
    message.reserve(length);
    append(message, OutHeader{length, 0, request.header.unique});
    message.insert(message.end(), contents.begin(), contents.end());
    if (isLast) dropContents(found->second);
    return message;
}

}  // namespace slipway
