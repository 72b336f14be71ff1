// Theory of operation. A UvStream owns one libuv stream handle. A read is one-shot for its owner
// but not for the kernel: when the bytes have been handed over, polling is left as it is, and is
// stopped only if more bytes arrive while nobody wants them. An owner that answers and reads again
// therefore costs no epoll_ctl, and one that does not read holds its peer back. The read buffer
// lives from the moment the kernel has bytes until the next read(), so an idle stream holds none;
// where much comes it grows, as each wake-up costs more than copying. A write goes to uv_write,
// which tries at once and reports through the loop, never inside the call.
#include "shared/io/uv_stream.h"

#include <thread>

#include <fmt/format.h>

#include "shared/core/folder_owner.h"
#include "shared/io/broken_off.h"
#include "shared/io/datagrams.h"

namespace slipway {
namespace {

constexpr std::size_t kFewReadBytes = 16u << 10;
constexpr std::size_t kMostReadBytes = 256u << 10;
constexpr std::size_t kReadGrowth = 4;
// What everybody may ask for (net.core.wmem_max); the kernel doubles it, and so gives twice what a
// socket has by itself (socket(7)). A large read then goes on in one write.
constexpr int kSendBufferBytes = 212992;

// The libuv handle with the requests that may outlive their owner, freed together once libuv is
// done.
struct Handle {
    union {
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    };
    uv_write_t write{};
    uv_shutdown_t shutdown{};
    uv_connect_t connect{};
    bool aborted = false;

    Handle() : tcp{} {}
    uv_handle_t* any() { return reinterpret_cast<uv_handle_t*>(&stream); }
    bool isTcp() const { return stream.type == UV_TCP; }
};

struct HandleCloser {
    void operator()(Handle* handle) const
    {
        handle->stream.data = nullptr;
        auto closed = [](uv_handle_t* any) {
            delete reinterpret_cast<Handle*>(any);  // The union is its first member.
        };
        // A reset is refused while a half-close is about to be sent.
        if (!handle->aborted || uv_tcp_close_reset(&handle->tcp, closed) != 0)
            uv_close(handle->any(), closed);
    }
};
using HandlePtr = std::unique_ptr<Handle, HandleCloser>;

HandlePtr newPipe(Loop& loop)
{
    auto handle = std::make_unique<Handle>();
    CHECK(uv_pipe_init(loop.uv(), &handle->pipe, 0) == 0);
    return HandlePtr(handle.release());
}

HandlePtr newTcp(Loop& loop)
{
    auto handle = std::make_unique<Handle>();
    CHECK(uv_tcp_init(loop.uv(), &handle->tcp) == 0);
    return HandlePtr(handle.release());
}

class UvStream final : public ByteStream {
public:
    UvStream(Loop& loop, HandlePtr handle, Gone gone = Gone::Ended)
        : m_loop(loop), m_handle(std::move(handle)), m_gone(gone)
    {
        m_handle->stream.data = this;
        if (m_handle->isTcp()) {
            uv_tcp_nodelay(&m_handle->tcp, 1);
        } else {  // TCP finds its own size, and stops doing so when it is told one.
            int bytes = kSendBufferBytes;
            uv_send_buffer_size(m_handle->any(), &bytes);
        }
    }

    void read(ReadDone done) override
    {
        CHECK(!m_readDone && !m_inputDone);
        m_readDone = std::move(done);
        m_buffer.reset();
        // Whoever sends it may wait for this very core: one large read later costs less than many
        // small ones now.
        if (muchComes()) std::this_thread::yield();
        poll();
    }

    void abort() override { m_handle->aborted = m_handle->isTcp(); }

    std::optional<int> socket() const override
    {
        uv_os_fd_t socket{};
        if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&m_handle->stream), &socket) != 0)
            return std::nullopt;
        return socket;
    }

    void awaitInput(InputDone done) override
    {
        CHECK(!m_readDone && !m_inputDone);
        m_inputDone = std::move(done);
        m_buffer.reset();
        poll();
    }

    void write(Bytes data, WriteDone done) override
    {
        CHECK(!m_writeDone);
        m_writeDone = std::move(done);
        uv_buf_t buffer = bufferOf(data);
        int failed = uv_write(&m_handle->write, &m_handle->stream, &buffer, 1,
                              [](uv_write_t* request, int status) {
                                  auto* self = static_cast<UvStream*>(request->handle->data);
                                  if (self) self->written(status);
                              });
        if (failed) m_loop.post(m_alive.wrap([this, failed] { written(failed); }));
    }

    std::size_t writeNow(Bytes data) override
    {
        CHECK(!m_writeDone);
        uv_buf_t buffer = bufferOf(data);
        int count = uv_try_write(&m_handle->stream, &buffer, 1);
        return count > 0 ? static_cast<std::size_t>(count) : 0;
    }

    void closeWrite() override
    {
        CHECK(!m_writeDone);
        if (std::exchange(m_writeClosed, true)) return;
        uv_shutdown(&m_handle->shutdown, &m_handle->stream, [](uv_shutdown_t*, int) {});
    }

private:
    static uv_buf_t bufferOf(Bytes data)
    {
        return uv_buf_init(const_cast<char*>(reinterpret_cast<const char*>(data.data())),
                           static_cast<unsigned>(data.size()));
    }

    void poll()
    {
        if (m_polling) return;
        m_polling = true;
        int failed = uv_read_start(
            &m_handle->stream,
            [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
                auto* self = static_cast<UvStream*>(handle->data);
                *buffer = self ? self->allocate() : uv_buf_init(nullptr, 0);
            },
            [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
                if (stream->data) static_cast<UvStream*>(stream->data)->arrived(count);
            });
        if (failed) m_loop.post(m_alive.wrap([this, failed] { arrived(failed); }));
    }

    void stopPolling()
    {
        m_polling = false;
        uv_read_stop(&m_handle->stream);
    }

    // None: libuv then reads nothing, and says so in arrived().
    uv_buf_t allocate()
    {
        if (!m_readDone) return uv_buf_init(nullptr, 0);
        m_buffer.reset(new char[m_readBytes]);
        return uv_buf_init(m_buffer.get(), static_cast<unsigned>(m_readBytes));
    }

    bool muchComes() const { return m_readBytes > kFewReadBytes; }

    void arrived(ssize_t count)
    {
        if (count == 0) return m_buffer.reset();  // The kernel had nothing after all.
        if (m_inputDone) {
            if (count != UV_ENOBUFS) stopPolling();  // An end: libuv has stopped already.
            return std::exchange(m_inputDone, nullptr)();
        }
        if (!m_readDone) return stopPolling();  // What nobody wants yet stays in the kernel.
        auto done = std::exchange(m_readDone, nullptr);
        if (count > 0) {
            Bytes data(reinterpret_cast<const std::byte*>(m_buffer.get()),
                       static_cast<std::size_t>(count));
            if (data.size() == m_readBytes && m_readBytes < kMostReadBytes)
                m_readBytes *= kReadGrowth;
            else if (data.size() <= m_readBytes / kReadGrowth && muchComes())
                m_readBytes /= kReadGrowth;
            return done(data);
        }
        stopPolling();
        if (count == UV_EOF && brokenOff()) count = UV_ECONNRESET;
        if (count == UV_EOF)
            done(Bytes{});
        else
            done(failUv("read", static_cast<int>(count)));
    }

    // libuv may tell of an end where the bytes before a reset were its last.
    bool brokenOff() const
    {
        return (m_handle->isTcp() || m_gone == Gone::BrokenOff) &&
               wasBrokenOff(*socket(), m_writeClosed);
    }

    void written(int status)
    {
        auto done = std::exchange(m_writeDone, nullptr);
        if (status == 0)
            done({});
        else
            done(failUv("write", status));
    }

    Loop& m_loop;
    HandlePtr m_handle;
    Gone m_gone;
    Alive m_alive;
    std::unique_ptr<char[]> m_buffer;
    std::size_t m_readBytes = kFewReadBytes;  // Of the next buffer.
    ReadDone m_readDone;
    InputDone m_inputDone;
    WriteDone m_writeDone;
    bool m_polling = false;
    bool m_writeClosed = false;
};

class UvConnecting final : public Connecting {
public:
    UvConnecting(Loop& loop, HandlePtr handle, std::string what, ConnectDone done)
        : m_loop(loop),
          m_handle(std::move(handle)),
          m_what(std::move(what)),
          m_done(std::move(done))
    {
        m_handle->stream.data = this;
    }

    void toPath(const std::string& path)
    {
        if (path.size() > kMaxUnixPathBytes) return finishLater(UV_ENAMETOOLONG);
        uv_pipe_connect(&m_handle->connect, &m_handle->pipe, path.c_str(), connected);
    }

    void toAddress(const std::string& address, std::uint16_t port)
    {
        sockaddr_storage storage{};
        auto* any = reinterpret_cast<sockaddr*>(&storage);
        int failed = uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage));
        if (failed)
            failed = uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage));
        if (!failed) failed = uv_tcp_connect(&m_handle->connect, &m_handle->tcp, any, connected);
        if (failed) finishLater(failed);
    }

private:
    static void connected(uv_connect_t* request, int status)
    {
        auto* self = static_cast<UvConnecting*>(request->handle->data);
        if (self) self->finish(status);
    }

    void finishLater(int status)
    {
        m_loop.post(m_alive.wrap([this, status] { finish(status); }));
    }

    void finish(int status)
    {
        auto done = std::move(m_done);
        if (status)
            done(failUv(m_what, status));
        else
            done(StreamPtr(std::make_unique<UvStream>(m_loop, std::move(m_handle))));
    }

    Loop& m_loop;
    HandlePtr m_handle;
    Alive m_alive;
    std::string m_what;
    ConnectDone m_done;
};

class UvListener final : public Listener {
public:
    UvListener(Loop& loop, HandlePtr handle, Accepted accepted)
        : m_loop(loop), m_handle(std::move(handle)), m_accepted(std::move(accepted))
    {
        m_handle->stream.data = this;
    }

    int listen()
    {
        return uv_listen(&m_handle->stream, kBacklog, [](uv_stream_t* server, int status) {
            if (server->data && status == 0) static_cast<UvListener*>(server->data)->accept();
        });
    }

    std::uint16_t port() const override
    {
        if (!m_handle->isTcp()) return 0;
        sockaddr_storage storage{};
        int length = sizeof storage;
        uv_tcp_getsockname(&m_handle->tcp, reinterpret_cast<sockaddr*>(&storage), &length);
        return ntohs(
            reinterpret_cast<sockaddr_in*>(&storage)->sin_port);  // The same place in both.
    }

private:
    static constexpr int kBacklog = 1024;

    void accept()
    {
        HandlePtr client = m_handle->isTcp() ? newTcp(m_loop) : newPipe(m_loop);
        if (uv_accept(&m_handle->stream, &client->stream) != 0) return;
        m_accepted(std::make_unique<UvStream>(m_loop, std::move(client)));
    }

    Loop& m_loop;
    HandlePtr m_handle;
    Accepted m_accepted;
};

}  // namespace

Result<StreamPtr> adoptSocket(Loop& loop, Descriptor socket, Gone gone)
{
    auto kind = uv_guess_handle(socket.get());
    if (kind == UV_UDP) return adoptDatagramSocket(loop, std::move(socket));
    bool tcp = kind == UV_TCP;
    HandlePtr handle = tcp ? newTcp(loop) : newPipe(loop);
    int failed =
        tcp ? uv_tcp_open(&handle->tcp, socket.get()) : uv_pipe_open(&handle->pipe, socket.get());
    if (failed) return failUv("adopt socket", failed);
    socket.release();
    return std::make_unique<UvStream>(loop, std::move(handle), gone);
}

std::unique_ptr<Connecting> connectUnix(Loop& loop, const std::filesystem::path& path,
                                        ConnectDone done)
{
    auto connecting = std::make_unique<UvConnecting>(
        loop, newPipe(loop), fmt::format("connect to {}", path.string()), std::move(done));
    connecting->toPath(path.string());
    return connecting;
}

std::unique_ptr<Connecting> connectTcp(Loop& loop, const std::string& address, std::uint16_t port,
                                       ConnectDone done)
{
    auto connecting = std::make_unique<UvConnecting>(
        loop, newTcp(loop), fmt::format("connect to {}:{}", address, port), std::move(done));
    connecting->toAddress(address, port);
    return connecting;
}

Result<ListenerPtr> listenUnix(Loop& loop, const std::filesystem::path& path, int mode,
                               Listener::Accepted accepted)
{
    std::string what = fmt::format("listen on {}", path.string());
    if (path.string().size() > kMaxUnixPathBytes) return failUv(what, UV_ENAMETOOLONG);
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    HandlePtr handle = newPipe(loop);
    if (int failed = uv_pipe_bind(&handle->pipe, path.string().c_str()))
        return failUv(what, failed);
    std::error_code failed;  // Before listening, so nobody connects under a wider mode.
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode), failed);
    if (failed) return fail(Code::PermissionDenied, fmt::format("{}: {}", what, failed.message()));
    TRY_VOID(giveToFolderOwner(path));
    auto listener = std::make_unique<UvListener>(loop, std::move(handle), std::move(accepted));
    if (int error = listener->listen()) return failUv(what, error);
    return listener;
}

Result<ListenerPtr> listenTcp(Loop& loop, const std::string& address, std::uint16_t port,
                              Listener::Accepted accepted)
{
    bool ipv6 = address.find(':') != std::string::npos;
    std::string what = ipv6 ? fmt::format("bind [{}]:{}", address, port)
                            : fmt::format("bind {}:{}", address, port);
    sockaddr_storage storage{};
    int failed = ipv6
                     ? uv_ip6_addr(address.c_str(), port, reinterpret_cast<sockaddr_in6*>(&storage))
                     : uv_ip4_addr(address.c_str(), port, reinterpret_cast<sockaddr_in*>(&storage));
    if (failed) return failUv(what, failed);
    HandlePtr handle = newTcp(loop);
    failed = uv_tcp_bind(&handle->tcp, reinterpret_cast<sockaddr*>(&storage),
                         ipv6 ? unsigned{UV_TCP_IPV6ONLY} : 0u);
    if (failed) return failUv(what, failed);
    auto listener = std::make_unique<UvListener>(loop, std::move(handle), std::move(accepted));
    if (int error = listener->listen()) return failUv(what, error);
    return listener;
}

}  // namespace slipway
