#include "shared/io/acceptor.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "shared/core/log.h"

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kPause{200};

}  // namespace

Acceptor::Acceptor(Loop& loop, std::string name, Descriptor listening, Accepted accepted)
    : m_name(std::move(name)),
      m_socket(std::move(listening)),
      m_accepted(std::move(accepted)),
      m_poll(new uv_poll_t{}),
      m_pause(loop)
{
    CHECK(uv_poll_init(loop.uv(), m_poll.get(), m_socket.get()) == 0);
    m_poll->data = this;
    watch();
}

Acceptor::~Acceptor()
{
    uv_poll_stop(m_poll.get());  // Before the descriptor is closed.
}

void Acceptor::watch()
{
    uv_poll_start(m_poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
        if (handle->data) static_cast<Acceptor*>(handle->data)->accept();
    });
}

// One a turn: the loop comes back at once while more are waiting.
void Acceptor::accept()
{
    Descriptor client(::accept4(m_socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (client) {
        m_failing = false;
        return m_accepted(std::move(client));
    }
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) return;
    // The connection stays in the queue, so that the poll would report it again at once, for ever.
    if (!std::exchange(m_failing, true))
        log::warn("accept on {}: {}; tried again every {} ms", m_name, std::strerror(errno),
                  kPause.count());
    uv_poll_stop(m_poll.get());
    m_pause.after(kPause, [this] { watch(); });
}

}  // namespace slipway
