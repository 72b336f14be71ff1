// Keeps what the guest has cached true to what the host has.
//
// Theory of operation. Every folder that the guest knows is watched before the first answer about
// what is in it, so the guest may keep answers for as long as it likes: whatever others change is
// told to it. What we change ourselves, for the guest, raises the same host events, and those must
// not be told.
//   - Names: before a call that makes or removes a name, its event is *expected*; the event takes
//   the
//     expectation back. A call that failed takes it back itself, and if an event of somebody else's
//     has taken it meanwhile, then that one is acted on now.
//   - Contents and attributes: each node keeps the size and times that the guest was last told or
//   we left
//     behind. An event after which they still hold is our own. While a change of ours is under way
//     on a node, its events wait for the end of it.
// An answer that reveals a change of others invalidates at once, before the new state is
// remembered: else the event that follows would look like our own, and stale pages would stay. Two
// writers inside one system call's time on the same file are told apart by size only.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include "shared/core/error.h"
#include "wsl-bridge/files/outbox.h"
#include "wsl-bridge/files/share.h"

namespace slipway {

class Coherence {
public:
    Coherence(Share& share, Outbox& outbox, std::unique_ptr<HostWatcher> watcher);
    ~Coherence();
    Coherence(const Coherence&) = delete;
    Coherence& operator=(const Coherence&) = delete;

    // Waits until every host event that has been raised by now is dealt with. The caller does not
    // hold Share::mutex.
    void settle();

    // Changes with every round of dealing with events, which holds Share::mutex.
    std::uint64_t round() const { return m_rounds; }

    // All of these: the caller holds Share::mutex.
    void watch(Node& node);
    void watchAll();  // After a restart: every folder that the guest knows.
    // kForever where every change is heard of.
    static constexpr std::uint64_t kForever = 1'000'000'000;
    std::uint64_t entrySeconds(const Node& parent) const;
    std::uint64_t absenceSeconds(const Node& parent) const;
    std::uint64_t attributeSeconds(Node& node, const FileFacts& facts);
    void told(Node& node, const FileFacts& facts);  // About to be told to the guest.
    void tellAll(Outbox& outbox);

    using What = HostEvent::What;
    void expect(const Node& directory, std::string_view name, What what);
    void unexpect(std::uint64_t directory, std::string_view name, What what);

    // What became of names by a call of ours that succeeded.
    void nameRemoved(std::uint64_t directory, std::string_view name);
    void nameMoved(const NodeName& from, const NodeName& to, bool exchange);
    void forget(std::uint64_t node, std::uint64_t count);
    void forgetAll();  // The kernel that knew it is gone.

    // Around a change of ours to a node's contents or attributes.
    void beginChange(Node& node);
    void endChange(std::uint64_t node);

    // Around a change of ours to a folder's names, until the table has it.
    void beginNames(Node& directory);
    void endNames(std::uint64_t directory);

private:
    void run();
    void onEvent(const HostEvent& event);
    void onName(Node& directory, const HostEvent& event);
    void onContents(Node& node, std::uint64_t directory, const HostEvent& event);
    void onUnknownContents(std::uint64_t directory, const HostEvent& event);
    void waitForOwnChanges(std::uint64_t node);
    void onMounts(const std::string& place);
    void rescan(const FileTime& since, const std::vector<HostEvent>& heard);
    Identity identityAt(Node& directory, const std::string& name);
    void followMove(const InjectionOrder& move);
    void flushMove();
    void unwatchDead();
    bool takeExpected(std::uint64_t directory, std::string_view name, What what);
    std::uint32_t modeAt(Node& directory, const std::string& name, bool isDirectory);
    void fillPaths(InjectionOrder& order);

    Share& m_share;
    Outbox& m_outbox;
    std::unique_ptr<HostWatcher> m_watcher;
    std::map<std::tuple<std::uint64_t, std::string, What>, int> m_expected;
    std::condition_variable m_changeEnded;
    std::condition_variable m_roundEnded;
    std::atomic<std::uint64_t> m_rounds = 0;              // Of reading and dealing with events.
    std::unique_lock<std::mutex>* m_eventLock = nullptr;  // Of the event being handled.
    struct Move {
        std::uint32_t cookie;
        InjectionOrder order;
        std::chrono::steady_clock::time_point until;
    };
    std::optional<Move> m_move;  // A MovedFrom whose MovedTo may follow.
    bool m_warned = false;
    bool m_stopping = false;
    std::thread m_thread;
};

}  // namespace slipway
