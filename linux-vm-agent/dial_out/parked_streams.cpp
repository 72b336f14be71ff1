// Theory of operation. A parked stream has a receive under way from the start, which serves two
// ends: a stream that the bridge closes is dropped at once, and for one that is taken it brings the
// DialOutAnswer. A question takes the oldest and writes its DialOut. Without a parked stream it
// waits, as the bridge parks another whenever one was taken. Where the client's own socket goes
// along, nothing is left to be answered.
#include "linux-vm-agent/dial_out/parked_streams.h"

namespace slipway {
namespace {

constexpr std::size_t kMaxAnswerBytes = 4096;

Error broken()
{
    return {Code::Unavailable, "the stream to slipway-bridge broke; try again"};
}

}  // namespace

ParkedStreams::Question::Question(ParkedStreams& owner, v1::DialOut target, Descriptor* client,
                                  Done done)
    : m_owner(owner),
      m_target(std::move(target)),
      m_client(client),
      m_done(std::move(done)),
      m_timer(owner.m_loop)
{
}

ParkedStreams::Question::~Question()
{
    m_owner.m_waiting.erase(m_id);
    m_owner.m_asked.erase(m_id);
}

void ParkedStreams::Question::takeStream(std::uint64_t id, Parked parked)
{
    m_id = id;
    m_stream = std::move(parked.socket);
    bool handsOver = m_client && *m_client && parked.takesSockets;
    m_target.set_client_comes_along(handsOver);
    m_stream->send(
        m_target,
        [this, handsOver](Result<> sent) {
            if (!sent) return finish(tl::unexpected(broken()));
            if (handsOver) finish(Descriptor());
        },
        handsOver ? std::move(*m_client) : Descriptor());
}

void ParkedStreams::Question::answered(const Result<std::string>& bytes)
{
    v1::DialOutAnswer answer;
    if (!bytes || !answer.ParseFromString(*bytes)) return finish(tl::unexpected(broken()));
    if (answer.code()) return finish(fail(static_cast<Code>(answer.code()), answer.message()));
    finish(m_stream->release());
}

void ParkedStreams::Question::finish(Result<Descriptor> result)
{
    m_timer.stop();
    auto done = std::exchange(m_done, nullptr);
    if (done) done(std::move(result));
}

ParkedStreams::ParkedStreams(Loop& loop) : m_loop(loop) {}

ParkedStreams::~ParkedStreams() = default;

void ParkedStreams::park(Descriptor stream, bool takesSockets)
{
    auto id = m_nextId++;
    auto& parked = m_parked[id];
    parked = {std::make_unique<HeadSocket>(m_loop, std::move(stream)), takesSockets};
    parked.socket->receive(
        kMaxAnswerBytes, [this, id](Result<std::string> bytes) { received(id, std::move(bytes)); });
    serveWaiting();
}

ParkedStreams::QuestionPtr ParkedStreams::ask(v1::DialOut target, Descriptor* client,
                                              std::chrono::milliseconds limit, Done done)
{
    QuestionPtr question(new Question(*this, std::move(target), client, std::move(done)));
    question->m_id = m_nextId++;
    m_waiting[question->m_id] = question.get();
    question->m_timer.after(limit, [asked = question.get()] {
        asked->finish(fail(Code::Unavailable, "slipway-bridge is not there; run `slipway start`"));
    });
    serveWaiting();
    return question;
}

void ParkedStreams::received(std::uint64_t stream, Result<std::string> bytes)
{
    if (m_parked.erase(stream)) return;  // Closed by the bridge, or broken.
    auto asked = m_asked.extract(stream);
    if (asked) asked.mapped()->answered(bytes);
}

void ParkedStreams::serveWaiting()
{
    while (!m_waiting.empty() && !m_parked.empty()) {
        auto question = m_waiting.extract(m_waiting.begin()).mapped();
        auto oldest = m_parked.extract(m_parked.begin());
        m_asked[oldest.key()] = question;
        question->takeStream(oldest.key(), std::move(oldest.mapped()));
    }
}

}  // namespace slipway
