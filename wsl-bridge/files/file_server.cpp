#include "wsl-bridge/files/file_server.h"

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/core/log.h"
#include "shared/fuse/message_stream.h"
#include "wsl-bridge/files/coherence.h"
#include "wsl-bridge/files/dispatcher.h"
#include "shared/core/open_limit.h"
#include "wsl-bridge/files/outbox.h"
#include "wsl-bridge/files/share.h"

namespace slipway {
namespace {

constexpr int kThreads = 4;  // As many requests may wait for a slow disk at a time.

// One stream and the threads that serve it.
class Session {
public:
    using Ended = std::function<void()>;
    Session(std::unique_ptr<Session> before, Descriptor stream, const FileTree& tree,
            Dispatcher& dispatcher, Outbox& outbox, Ended ended)
        : m_before(std::move(before)),
          m_stream(std::make_shared<fuse::MessageStream>(std::move(stream))),
          m_tree(tree),
          m_dispatcher(dispatcher),
          m_outbox(outbox),
          m_ended(std::move(ended)),
          m_first([this] { run(); })
    {
    }
    ~Session()
    {
        stop();
        m_first.join();
    }

    void stop()
    {
        m_stopping = true;
        m_stream->shutdown();
    }

private:
    void run()
    {
        if (m_before) m_before->stop();
        m_before.reset();
        m_dispatcher.agentIsNew();
        m_outbox.attach(m_stream);
        std::vector<std::thread> others;
        for (int i = 1; i < kThreads; ++i) others.emplace_back([this] { serve(); });
        serve();
        for (auto& thread : others) thread.join();
        m_outbox.detach(*m_stream);
        if (!m_stopping && m_ended) m_ended();
    }

    void serve()
    {
        if (auto ready = m_tree.prepareThread(); !ready) {
            log::error("files: {}", ready.error().message);
            return m_stream->shutdown();
        }
        std::vector<std::byte> message;
        Dispatcher::Room room;
        while (m_stream->read(message)) {
            m_dispatcher.handle(message, room, *m_stream);
        }
        m_stream->shutdown();  // Bytes that are no messages end it for all.
    }

    std::unique_ptr<Session> m_before;
    std::shared_ptr<fuse::MessageStream> m_stream;
    const FileTree& m_tree;
    Dispatcher& m_dispatcher;
    Outbox& m_outbox;
    Ended m_ended;
    std::atomic<bool> m_stopping{false};
    std::thread m_first;
};

class HostFileServer final : public FileServer {
public:
    HostFileServer(FileServerOptions options, std::unique_ptr<FileTree> tree,
                   std::unique_ptr<NodeStore> store, std::unique_ptr<Intents> intents,
                   std::unique_ptr<PinKeeper> keeper, Grants grants,
                   std::unique_ptr<HostWatcher> watcher)
        : m_options(std::move(options)),
          m_tree(std::move(tree)),
          m_store(std::move(store)),
          m_intents(std::move(intents)),
          m_keeper(std::move(keeper)),
          m_share{*m_tree,
                  *m_store,
                  *m_intents,
                  {},
                  {*m_tree, *m_store, *m_keeper, maxOpenFiles() / 4},
                  std::move(grants),
                  {}},
          m_outbox([this](Outbox& outbox) {
              std::lock_guard lock(m_share.mutex);
              m_coherence.tellAll(outbox);
          }),
          m_coherence(m_share, m_outbox, std::move(watcher)),
          m_dispatcher(m_share, m_coherence, m_outbox)
    {
        resume();
    }

    ~HostFileServer() override
    {
        detach();
        m_outbox.stop();  // It calls m_coherence, which dies first.
    }

    Result<> grant(const std::filesystem::path& hostPath) override;
    Result<> attach(std::uint32_t channel, Descriptor stream) override;

    void detach() override
    {
        std::lock_guard lock(m_sessionMutex);
        m_session.reset();
    }

    void machineEnded() override
    {
        std::lock_guard lock(m_share.mutex);
        m_coherence.forgetAll();
    }

    FileServerStatistics statistics() const override
    {
        std::lock_guard lock(m_share.mutex);
        return {m_dispatcher.served(), m_outbox.sent(), m_share.nodes.size(),
                m_share.nodes.folders(), m_share.grants.all().size()};
    }

private:
    void resume();
    void materialize(const std::string& granted);

    FileServerOptions m_options;
    std::unique_ptr<FileTree> m_tree;
    std::unique_ptr<NodeStore> m_store;
    std::unique_ptr<Intents> m_intents;
    std::unique_ptr<PinKeeper> m_keeper;
    mutable Share m_share;
    Outbox m_outbox;
    Coherence m_coherence;
    Dispatcher m_dispatcher;
    std::mutex m_sessionMutex;
    std::unique_ptr<Session> m_session;
};

// What a server before us has told the guest's kernel holds on, but nobody has watched meanwhile.
void HostFileServer::resume()
{
    std::lock_guard lock(m_share.mutex);
    m_share.session = m_store->session();
    m_share.nodes.load();
    if (m_share.session.minor == 0) return;
    for (const auto& path : m_share.grants.all()) {
        auto anchor = m_tree->open(path);
        if (!anchor) continue;
        auto facts = m_tree->facts(**anchor);
        if (!facts) continue;
        m_share.nodes.forEach([&](Node& node) {
            if (node.identity == facts->identity && !node.isVirtual) node.setAnchor(*anchor);
        });
    }
    m_coherence.watchAll();
    m_outbox.everything();
}

Result<> HostFileServer::grant(const std::filesystem::path& hostPath)
{
    std::string path = hostPath.lexically_normal().string();
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    if (!hostPath.is_absolute()) {
        return fail(Code::InvalidArgument,
                    fmt::format("share {}: not an absolute path", hostPath.string()));
    }
    if (path == "/") {
        return fail(Code::InvalidArgument,
                    "share /: the whole host can't be shared; name a folder of it");
    }
    auto opened = m_tree->open(path);
    if (!opened && opened.error() == Errno::Loop) {
        std::error_code error;
        auto real = std::filesystem::canonical(path, error);
        return fail(Code::InvalidArgument,
                    fmt::format("share {}: a symbolic link is on the way; share {} instead", path,
                                real.string()));
    }
    if (!opened) return failErrno(fmt::format("share {}", path), static_cast<int>(opened.error()));
    std::lock_guard lock(m_share.mutex);
    TRY_VOID(m_share.grants.add(path));
    materialize(path);
    return {};
}

// Nodes that were bare ancestors and now are granted, or lie in what is granted, become real under
// the ids that the guest knows, so that what it has mounted on them stays.
void HostFileServer::materialize(const std::string& granted)
{
    std::vector<Node*> real;
    m_share.nodes.forEach([&](Node& node) {
        if (!node.isVirtual) return;
        auto path = m_share.nodes.pathOf(node);
        if (!path) return;
        m_outbox.inode(node.id, true);  // Its listing has changed, if nothing more.
        auto cover = m_share.grants.coverOf(*path);
        if (cover == Grants::Cover::Ancestor || cover == Grants::Cover::None) return;
        auto anchor = m_tree->open(*path);
        if (!anchor) return;
        auto facts = m_tree->facts(**anchor);
        if (facts) m_share.nodes.makeReal(node, *facts, *anchor);
    });
    log::info("files: {} is shared with the machine", granted);
}

Result<> HostFileServer::attach(std::uint32_t channel, Descriptor stream)
{
    if (channel >= fuse::kChannels) {
        return fail(Code::InvalidArgument,
                    fmt::format("share channel {}: there are {}", channel, fuse::kChannels));
    }
    std::lock_guard lock(m_sessionMutex);
    auto before = std::move(m_session);
    if (before) before->stop();
    m_session = std::make_unique<Session>(std::move(before), std::move(stream), *m_tree,
                                          m_dispatcher, m_outbox, [this, channel] {
                                              if (m_options.ended) m_options.ended(channel);
                                          });
    return {};
}

}  // namespace

Result<std::unique_ptr<FileServer>> startFileServer(FileServerOptions options)
{
    std::error_code error;
    std::filesystem::create_directories(options.stateDir, error);
    if (error) {
        return fail(Code::Unavailable,
                    fmt::format("make {}: {}", options.stateDir.string(), error.message()));
    }
    std::filesystem::permissions(options.stateDir, std::filesystem::perms::owner_all, error);
    TRY_VOID(giveToFolderOwner(options.stateDir));
    raiseOpenFileLimit();
    TRY(auto store, NodeStore::open(options.stateDir / "nodes"));
    TRY(auto intents, Intents::open(options.stateDir / "intents"));
    TRY(auto grants, Grants::load(options.stateDir / "grants"));
    TRY(auto watcher, hostWatcher());
    auto keeper = pinKeeper(options.stateDir, options.keeper);
    return std::make_unique<HostFileServer>(std::move(options), hostFileTree(), std::move(store),
                                            std::move(intents), std::move(keeper),
                                            std::move(grants), std::move(watcher));
}

}  // namespace slipway
