// What the bridge's file server has answered before it was asked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "shared/fuse/request.h"

namespace slipway {

// From any thread. The server sees to it that what is here is true (wsl-bridge/files,
// dispatch_ahead.cpp), as long as every message of its stream is shown to follow() in order, before
// it is acted on. It counts an entry as looked up when it tells it; one that is dropped before the
// kernel asked for it is forgotten in the kernel's place.
class AnswersAhead {
public:
    using Message = std::vector<std::byte>;

    // True: it was for us, and there is nothing more to do with it.
    bool follow(fuse::Bytes message);
    void clear();  // The stream has ended.

    // The whole answer, if there is one.
    std::optional<Message> answerTo(const fuse::Request& request);

    // A BATCH_FORGET for the server; empty if there is nothing to forget.
    Message takeForgets();

private:
    using Name = std::pair<std::uint64_t, std::string>;  // In the folder of that node.
    struct About {
        std::optional<fuse::AttrOut> attributes;
        std::optional<std::uint64_t> listingEnd;
        std::vector<Name> entries;  // That lead to it.
        Message contents;           // Empty: not known.
        Message listing;            // Dirents; empty: not known.
    };
    void tell(fuse::Body body);
    void drop(std::uint64_t node);
    void dropEntry(const Name& name);
    void keepContents(std::uint64_t node, fuse::Bytes contents);
    void dropContents(About& about);
    void dropAnswers(About& about);
    std::optional<fuse::EntryOut> takeEntry(const Name& name);
    void forgotten(std::uint64_t node);
    std::optional<Message> attributesOf(const fuse::InHeader& header);
    std::optional<Message> entryOf(const fuse::Request& request);
    std::optional<Message> listingEndOf(const fuse::Request& request);
    std::optional<Message> listingOf(const fuse::Request& request);
    std::optional<Message> contentsOf(const fuse::Request& request);

    std::mutex m_mutex;
    std::unordered_map<std::uint64_t, About> m_nodes;
    std::map<Name, fuse::EntryOut> m_entries;
    std::vector<fuse::ForgetOne> m_forgets;
    std::deque<std::uint64_t> m_withContents;  // The oldest first; some have been asked for since.
    std::size_t m_contentBytes = 0;
};

}  // namespace slipway
