// What the guest must be told without having asked: invalidations, and injections for its inotify
// watches.
//
// Theory of operation. Notes are queued by whoever learns of a change and sent by a thread of the
// outbox, as an answer must never wait behind one. They wait while no stream is attached. Where
// more of them wait than is sensible, or where events were lost, one "everything" takes the place
// of all.
//
// An injection goes after the notes that were queued before it: whoever hears of a change and looks
// sees it.
//
// Injections go one at a time on a second thread: the guest's agent performs a call in the mount,
// the server recognises the agent's requests by their pid while that injection is the current one,
// and the next begins when the agent has acknowledged it. The name is expired right before, so that
// the kernel asks and does not answer from its cache. An injection that nobody can perform (no
// injector yet, or too many waiting) is dropped: then only an inotify event is lost, never the
// truth of what is read.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "shared/fuse/message_stream.h"
#include "shared/fuse/wire.h"

namespace slipway {

struct InjectionOrder {
    fuse::Injection what = fuse::Injection::Create;
    std::uint64_t directory = 0;
    std::string name;
    std::uint64_t newDirectory = 0;  // Of a rename.
    std::string newName;
    std::uint64_t node = 0;      // The file that the guest knows; 0: it knows none.
    std::uint64_t replaced = 0;  // The one that a rename replaced; 0: none that the guest knows.
    std::uint32_t mode = 0;
    std::string path, newPath;  // As the injector needs them.
    // The folders on the way, as they were when it happened: they may be gone when the injector
    // walks over them.
    struct Step {
        std::uint64_t folder;
        std::string name;
        std::uint64_t node;
    };
    std::vector<Step> way;
    // The kernel has asked us what they lead to, since they were expired for this.
    bool nameAsked = false, newNameAsked = false;
};

class Outbox {
public:
    // Lists what must be invalidated when everything must: called on the outbox's thread.
    using Everything = std::function<void(Outbox&)>;
    explicit Outbox(Everything everything);
    ~Outbox() { stop(); }
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    void stop();  // Whatever waits is dropped, and `everything` is not called again.

    void attach(std::shared_ptr<fuse::MessageStream> stream);
    void detach(const fuse::MessageStream& stream);  // Nothing if another took its place.

    void inode(std::uint64_t node, bool dataToo);
    void entry(std::uint64_t parent, std::string_view name);
    void epoch();  // Every name is to be asked anew.
    void everything();

    void inject(InjectionOrder order);
    void injectorIs(std::uint32_t pid);
    void injectionDone(std::uint64_t sequence);
    // The injection under way, if this is the injector's request.
    std::optional<InjectionOrder> current(std::uint32_t pid) const;
    void injectorAsked(std::uint32_t pid, bool newName);

    std::uint64_t sent() const;

private:
    using Message = std::vector<std::byte>;
    struct Waiting {
        InjectionOrder order;
        std::uint64_t afterNotes;  // How many must be out first.
    };

    void push(fuse::Notify code, fuse::Bytes head, std::string_view name);
    bool mayInject() const;
    void sendNotes();
    void sendInjections();

    Everything m_everything;
    mutable std::mutex m_mutex;
    std::condition_variable m_changed;
    std::shared_ptr<fuse::MessageStream> m_stream;
    std::deque<Message> m_notes;
    std::uint64_t m_queued = 0;  // Notes, ever.
    bool m_writing = false;      // One that has left the queue.
    bool m_hadStream = false;
    bool m_all = false;
    bool m_telling = false;  // Everything is being told: no limit to the queue.
    std::deque<Waiting> m_orders;
    std::optional<InjectionOrder> m_current;
    std::uint64_t m_sequence = 0;
    std::uint32_t m_injector = 0;
    std::uint64_t m_sent = 0;
    bool m_stopping = false;
    std::thread m_noteThread;
    std::thread m_injectionThread;
};

}  // namespace slipway
