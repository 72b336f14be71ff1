// Theory of operation. OpenSSL speaks to two memory buffers: what the peer sent is put in one, what
// it is to get is taken from the other. So nothing in OpenSSL ever waits, and two small loops carry
// the rest, one for each way:
//
//   fill   reads once from the raw stream, into OpenSSL
//   flush  writes what OpenSSL has for the peer; when there is no more, the next piece of the
//          owner's bytes is put in, and after the last one its write is done
//
// OpenSSL may have something for the peer while it reads (an alert, the change of a key), so flush
// is started after every call into it. No callback runs inside the call that was given it: what is
// there already is handed over by way of the loop.
#include "shared/tls/tls_stream.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace slipway {
namespace {

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kPieceBytes = 64u << 10;  // Of a write, encrypted and sent at once.

struct SslFree {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, SslFree>;

class TlsStream final : public ByteStream {
public:
    TlsStream(Loop& loop, StreamPtr raw, SslPtr ssl)
        : m_loop(loop),
          m_raw(std::move(raw)),
          m_ssl(std::move(ssl)),
          m_fromPeer(SSL_get_rbio(m_ssl.get())),
          m_toPeer(SSL_get_wbio(m_ssl.get()))
    {
    }

    // `done` may destroy the stream.
    void shakeHands(WriteDone done)
    {
        m_handshakeDone = std::move(done);
        m_loop.post(m_alive.wrap([this] { advance(); }));
    }

    void read(ReadDone done) override
    {
        CHECK(!m_readDone);
        m_readDone = std::move(done);
        m_buffer.reset();
        m_loop.post(m_alive.wrap([this] { advance(); }));
    }

    void write(Bytes data, WriteDone done) override
    {
        CHECK(!m_writeDone);
        m_writeDone = std::move(done);
        m_unwritten = data;
        if (data.empty()) return writtenLater({});
        flush();
    }

    void closeWrite() override
    {
        CHECK(!m_writeDone);
        if (std::exchange(m_writeClosed, true)) return;
        ERR_clear_error();
        SSL_shutdown(m_ssl.get());
        flush();
    }

private:
    // As far as what the peer has sent so far allows.
    void advance()
    {
        if (m_filling) return;  // It goes on when that is done.
        if (m_handshakeDone) return advanceHandshake();
        if (!m_readDone) return;
        if (!m_buffer) m_buffer.reset(new std::byte[kReadBytes]);
        ERR_clear_error();
        int count = SSL_read(m_ssl.get(), m_buffer.get(), kReadBytes);
        int outcome = SSL_get_error(m_ssl.get(), count);
        flush();
        if (count > 0) return handOver(Bytes(m_buffer.get(), static_cast<std::size_t>(count)));
        m_buffer.reset();
        if (outcome == SSL_ERROR_ZERO_RETURN) return handOver(Bytes{});
        if (outcome == SSL_ERROR_WANT_READ) return fill();
        handOver(fail(Code::Unavailable, "read from TLS: " + tlsReason()));
    }

    void advanceHandshake()
    {
        ERR_clear_error();
        int outcome = SSL_get_error(m_ssl.get(), SSL_do_handshake(m_ssl.get()));
        flush();
        if (outcome == SSL_ERROR_WANT_READ) return fill();
        auto done = std::exchange(m_handshakeDone, nullptr);
        if (outcome == SSL_ERROR_NONE) return done({});
        long untrusted = SSL_get_verify_result(m_ssl.get());
        done(fail(Code::Unauthenticated,
                  untrusted == X509_V_OK ? tlsReason() : X509_verify_cert_error_string(untrusted)));
    }

    void fill()
    {
        m_filling = true;
        m_raw->read([this](Result<Bytes> data) {
            m_filling = false;
            if (!data) return failed(data.error());
            if (data->empty()) return failed({Code::Unavailable, "the other end broke TLS off"});
            int size = static_cast<int>(data->size());
            CHECK(BIO_write(m_fromPeer, data->data(), size) == size);
            advance();
        });
    }

    void failed(const Error& error)
    {
        if (m_handshakeDone) return std::exchange(m_handshakeDone, nullptr)(tl::unexpected(error));
        handOver(tl::unexpected(error));
    }

    void handOver(Result<Bytes> data)
    {
        auto done = std::exchange(m_readDone, nullptr);
        if (done) done(std::move(data));
    }

    void flush()
    {
        if (m_flushing) return;
        if (BIO_pending(m_toPeer) == 0 && !m_unwritten.empty() && !encrypt()) return;
        std::size_t pending = static_cast<std::size_t>(BIO_pending(m_toPeer));
        if (pending == 0) return flushed();
        m_encrypted.resize(pending);
        CHECK(BIO_read(m_toPeer, m_encrypted.data(), static_cast<int>(pending)) ==
              static_cast<int>(pending));
        m_flushing = true;
        m_raw->write(bytesOf(m_encrypted), [this](Result<> written) {
            m_flushing = false;
            m_encrypted = {};
            if (written) return flush();
            m_unwritten = {};
            if (auto done = std::exchange(m_writeDone, nullptr)) done(std::move(written));
        });
    }

    // The next piece of the owner's bytes; false if OpenSSL refuses it.
    bool encrypt()
    {
        std::size_t piece = std::min(m_unwritten.size(), kPieceBytes);
        ERR_clear_error();
        int count = SSL_write(m_ssl.get(), m_unwritten.data(), static_cast<int>(piece));
        if (count > 0) {
            m_unwritten = m_unwritten.subspan(static_cast<std::size_t>(count));
            return true;
        }
        m_unwritten = {};
        writtenLater(fail(Code::Unavailable, "write to TLS: " + tlsReason()));
        return false;
    }

    void writtenLater(Result<> outcome)
    {
        m_flushing = true;  // So that nobody else ends the write.
        m_loop.post(m_alive.wrap([this, outcome = std::move(outcome)] {
            m_flushing = false;
            if (auto done = std::exchange(m_writeDone, nullptr)) done(outcome);
        }));
    }

    // With a write waiting, this is in a callback: an owner's bytes always make some for the peer.
    void flushed()
    {
        if (auto done = std::exchange(m_writeDone, nullptr)) return done({});
        if (m_writeClosed) m_raw->closeWrite();
    }

    Loop& m_loop;
    StreamPtr m_raw;
    SslPtr m_ssl;
    BIO* m_fromPeer;
    BIO* m_toPeer;
    Alive m_alive;
    WriteDone m_handshakeDone;
    ReadDone m_readDone;
    std::unique_ptr<std::byte[]> m_buffer;
    WriteDone m_writeDone;
    Bytes m_unwritten;
    std::string m_encrypted;  // Being written.
    bool m_filling = false;
    bool m_flushing = false;
    bool m_writeClosed = false;
};

class Shaking final : public TlsHandshake {
public:
    Shaking(std::unique_ptr<TlsStream> stream, std::string with, TlsDone done)
        : m_stream(std::move(stream)), m_with(std::move(with)), m_done(std::move(done))
    {
        m_stream->shakeHands([this](Result<> shaken) {
            auto report = std::exchange(m_done, nullptr);
            if (!shaken) return report(tl::unexpected(context("TLS" + m_with, shaken.error())));
            report(StreamPtr(std::move(m_stream)));
        });
    }

private:
    std::unique_ptr<TlsStream> m_stream;
    std::string m_with;
    TlsDone m_done;
};

// Certificates name a host or an address, and a name is asked for in the open (SNI), RFC 6066.
void expectName(SSL* ssl, const std::string& name)
{
    if (isAddress(name)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str());
        return;
    }
    SSL_set_tlsext_host_name(ssl, name.c_str());
    SSL_set1_host(ssl, name.c_str());
}

}  // namespace

std::unique_ptr<TlsHandshake> startTls(Loop& loop, StreamPtr raw, const TlsContext& context,
                                       const std::string& serverName, TlsDone done)
{
    SslPtr ssl(SSL_new(context.get()));
    CHECK(ssl);
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (context.serves()) {
        SSL_set_accept_state(ssl.get());
    } else {
        SSL_set_connect_state(ssl.get());
        expectName(ssl.get(), serverName);
    }
    return std::make_unique<Shaking>(
        std::make_unique<TlsStream>(loop, std::move(raw), std::move(ssl)),
        serverName.empty() ? std::string() : " with " + serverName, std::move(done));
}

}  // namespace slipway
