#include "wsl-bridge/ports/introduction.h"

namespace slipway {

void Introduction::start(bool withHeader)
{
    m_dialing = m_dialer.dial(m_hello, [this, withHeader](Result<StreamPtr> container) {
        if (!container || !withHeader) return m_done(std::move(container));
        reached(std::move(*container));
    });
}

void Introduction::reached(StreamPtr container)
{
    m_container = std::move(container);
    m_container->write(bytesOf(m_header), [this](Result<> written) {
        if (!written) return m_done(tl::unexpected(std::move(written).error()));
        m_done(std::move(m_container));
    });
}

}  // namespace slipway
