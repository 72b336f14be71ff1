// Answers the guest kernel's FUSE requests from the host's files.
//
// Theory of operation. A request is taken apart without trust (shared/fuse/request.h), its node
// looked up under the share's lock, and the call on the host made without it. There are no open
// files in the protocol: OPEN and OPENDIR are answered ENOSYS, the kernel remembers that after the
// first of each, and every other request names a node. The kernel checks permissions
// (`default_permissions`) with what it is told here; a new file is given to the user named in the
// request's header.
//
// Requests that come a second time (shared/fuse/wire.h, kResentBit) are answered by Intents.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "shared/fuse/message_stream.h"
#include "shared/fuse/request.h"
#include "wsl-bridge/files/coherence.h"
#include "wsl-bridge/files/outbox.h"
#include "wsl-bridge/files/share.h"

namespace slipway {

class Dispatcher {
public:
    Dispatcher(Share& share, Coherence& coherence, Outbox& outbox)
        : m_share(share), m_coherence(coherence), m_outbox(outbox)
    {
    }

    // Room for an answer. One thread's.
    struct Room {
        std::vector<std::byte> bytes;
        std::optional<KernelPipe> pipe = KernelPipe::make(fuse::kMaxDataBytes);
    };

    // Writes at most one answer to the stream that the request came from. From any thread that
    // FileTree::prepareThread() was called on.
    void handle(fuse::Bytes message, Room& room, fuse::MessageStream& stream);
    void agentIsNew();  // It was told nothing ahead yet.

    std::uint64_t served() const { return m_served; }

private:
    struct Call {
        const fuse::InHeader& header;
        fuse::Body body;
        Room& room;
        fuse::MessageStream& stream;
        bool resent;
        std::uint64_t unique;  // Without the mark of a resent one.

        void reply(fuse::Bytes data) const;
        void reply() const { reply(fuse::Bytes{}); }
        void replyFromPipe() const;
        template <class T>
        void replyValue(const T& value) const
        {
            reply(std::as_bytes(std::span(&value, 1)));
        }
        void error(Errno error) const;
        NewFile newFile(std::uint32_t mode, std::uint32_t umask) const;
    };
    using Outcome = FuseResult<>;
    struct At {  // A name in a folder that can be walked.
        std::uint64_t parent;
        HandlePtr directory;
        std::string name;
    };

    Outcome route(Call& call);
    bool routeInjected(Call& call);

    Outcome init(Call& call);
    void forget(std::uint64_t node, std::uint64_t count);
    void batchForget(Call& call);

    // dispatch_names.cpp
    Outcome lookup(Call& call);
    Outcome lookupVirtual(Call& call, std::string_view name);
    Outcome make(Call& call);
    Outcome create(Call& call);
    Outcome createUnnamed(Call& call);
    Outcome link(Call& call);
    Outcome remove(Call& call, bool isDirectory);
    Outcome rename(Call& call, bool hasFlags);
    FuseResult<At> at(std::uint64_t parent, std::string_view name);
    class NameChange;
    Outcome once(Call& call, const Identity& before, const std::function<Outcome()>& act,
                 const std::function<bool()>& alreadyDone);
    Outcome makeOnce(Call& call, const At& where, const std::function<Outcome()>& act);
    FuseResult<fuse::EntryOut> entryOf(const At& where);
    Identity identityAt(const At& where) const;

    // dispatch_data.cpp
    Outcome getattr(Call& call);
    Outcome setattr(Call& call);
    Outcome readlink(Call& call);
    Outcome read(Call& call);
    bool readByPipe(Call& call, const Handle& data, const fuse::ReadIn& in);
    Outcome write(Call& call);
    Outcome allocate(Call& call);
    Outcome seek(Call& call);
    Outcome sync(Call& call);
    Outcome statfs(Call& call);
    Outcome readdir(Call& call, bool plus);
    Outcome readdirVirtual(Call& call, const fuse::ReadIn& in, bool plus);
    Outcome setxattr(Call& call);
    Outcome getxattr(Call& call, bool names);
    Outcome removexattr(Call& call);
    FuseResult<HandlePtr> handleOf(std::uint64_t node);
    FuseResult<HandlePtr> dataOf(std::uint64_t node, bool forWriting);
    FuseResult<HandlePtr> begin(std::uint64_t node, bool data);
    void end(std::uint64_t node);

    // dispatch_ahead.cpp: before the answer. `ownChanges`: of the caller's, still under way.
    void nodeChanged(Call& call, std::uint64_t node, int ownChanges = 0);
    void nodeRead(Call& call);
    void listingEnds(Call& call, std::uint64_t offset);
    bool nameAsked(Call& call, const At& where);
    bool entryAhead(Call& call, const At& where);
    // dispatch_sweeps.cpp: behind the answer.
    void fileRead(Call& call);
    void folderListed(Call& call);
    void namesSwept(Call& call, std::uint64_t folder);
    void listingIsOut(Call& call, std::uint64_t folder);
    void foldersBelowAhead(Call& call, std::uint64_t folder, int& left);
    bool listingAhead(Call& call, std::uint64_t folder);
    void contentsAhead(Call& call, std::uint64_t folder);
    std::size_t contentsAhead(Call& call, const At& where, std::uint32_t changesBegun);

    // dispatch_injected.cpp
    bool answerInjected(Call& call, const InjectionOrder& order);
    bool lookupInjected(Call& call, const InjectionOrder& order);
    bool lookupOnTheWay(Call& call, const InjectionOrder& order, std::string_view name);
    bool replyKnown(const Call& call, std::uint64_t id);
    bool makeInjected(Call& call, const InjectionOrder& order);
    void finishInjected(const Call& call, bool wasAsked);
    void replyGone(const Call& call, std::uint32_t mode);

    // The caller of these holds Share::mutex.
    HandlePtr watchedFolder(std::uint64_t folder);
    FuseResult<Node*> nodeOf(std::uint64_t id);
    fuse::EntryOut fillEntry(Node& node, const FileFacts& facts, const Node& parent);
    FuseResult<FileFacts> factsOf(Node& node) { return m_share.nodes.factsOf(node); }
    FileFacts lastFactsOf(Node& node);  // Of one that has gone, what is known of it.
    fuse::AttrOut attributesOf(Node& node, const FileFacts& facts);
    void attributesAhead(Call& call, Node& node, int ownChanges);
    void takeBack(Call& call, Node& node);

    Share& m_share;
    Coherence& m_coherence;
    Outbox& m_outbox;
    std::atomic<std::uint64_t> m_served{0};
    std::atomic<int> m_listingsWithContents{0};  // How many more.
};

fuse::Attr attrOf(const FileFacts& facts);

}  // namespace slipway
