#include "shared/tunnel/handshake.h"

#include <utility>

#include <fmt/format.h>

#include "shared/tunnel/head_socket.h"

namespace slipway {
namespace {

constexpr std::string_view kBridge = "slipway-bridge";
constexpr std::string_view kAgent = "slipway-agent";
constexpr std::size_t kChallengeBytes = 32;
constexpr auto kRefusedProof = static_cast<std::uint32_t>(Code::Unauthenticated);

std::string proofOf(const Token& token, std::string_view role, const std::string& agentChallenge,
                    v1::StreamHello hello)
{
    std::string bridgeChallenge = hello.challenge();
    hello.clear_proof();
    return hmac(token, fmt::format("{}{}{}{}", role, agentChallenge, bridgeChallenge,
                                   hello.SerializeAsString()));
}

template <class Message>
Result<Message> parse(const std::string& bytes)
{
    Message message;
    if (!message.ParseFromString(bytes))
        return fail(Code::InvalidArgument,
                    "the head of a stream is not a message of this protocol");
    return message;
}

Result<> checkPeer(std::uint32_t version, const std::string& challenge)
{
    if (version != kTunnelVersion)
        return fail(
            Code::FailedPrecondition,
            fmt::format("the other end speaks tunnel version {}, this one {}; restart Slipway "
                        "so that both are of one release",
                        version, kTunnelVersion));
    if (challenge.size() != kChallengeBytes)
        return fail(Code::InvalidArgument, "the head of a stream has no challenge");
    return {};
}

Error silence()
{
    return {Code::DeadlineExceeded, "the other end said nothing for 1 s"};
}

Error wrongToken()
{
    return {Code::Unauthenticated, "a dial with a wrong token"};
}

// The bridge's end: waits for the greeting, sends the hello, waits for the answer.
class Greeter final : public Handshake {
public:
    Greeter(Loop& loop, Descriptor socket, const Token& token, v1::StreamHello hello, DialDone done)
        : m_socket(loop, std::move(socket)),
          m_timer(loop),
          m_token(token),
          m_hello(std::move(hello)),
          m_done(std::move(done))
    {
        m_timer.after(kHandshakeTimeout, [this] { finish(tl::unexpected(silence())); });
        m_socket.receive(kMaxHeadBytes, [this](Result<std::string> bytes) { greeted(bytes); });
    }

private:
    void greeted(const Result<std::string>& bytes)
    {
        if (auto sent = sendHello(bytes); !sent) finish(tl::unexpected(sent.error()));
    }

    Result<> sendHello(const Result<std::string>& bytes)
    {
        if (!bytes) return tl::unexpected(bytes.error());
        TRY(auto greeting, parse<v1::StreamGreeting>(*bytes));
        TRY_VOID(checkPeer(greeting.version(), greeting.challenge()));
        m_agentChallenge = greeting.challenge();
        m_hello.set_version(kTunnelVersion);
        m_hello.set_challenge(randomBytes(kChallengeBytes));
        m_hello.set_proof(proofOf(m_token, kBridge, m_agentChallenge, m_hello));
        m_socket.send(m_hello, [this](Result<> sent) {
            if (!sent) return finish(tl::unexpected(sent.error()));
            m_timer.stop();  // How long the service itself may take is the caller's to limit.
            m_socket.receive(
                kMaxHeadBytes, [this](Result<std::string> answer) { answered(answer); },
                m_hello.takes_socket() ? &m_service : nullptr);
        });
        return {};
    }

    void answered(const Result<std::string>& bytes)
    {
        auto accepted = checkAnswer(bytes);
        if (!accepted) return finish(tl::unexpected(accepted.error()));
        finish(m_service ? std::move(m_service) : m_socket.release());
    }

    Result<> checkAnswer(const Result<std::string>& bytes)
    {
        if (!bytes) return tl::unexpected(bytes.error());
        TRY(auto answer, parse<v1::StreamAnswer>(*bytes));
        if (answer.proof().empty() && answer.code() == kRefusedProof)
            return fail(Code::Unauthenticated,
                        "the machine does not accept this token, which is of another boot");
        if (!equalProofs(answer.proof(), proofOf(m_token, kAgent, m_agentChallenge, m_hello)))
            return fail(Code::Unauthenticated,
                        "what listens on the tunnel does not hold this machine's token");
        if (answer.code()) return fail(static_cast<Code>(answer.code()), answer.message());
        return {};
    }

    void finish(Result<Descriptor> result)
    {
        m_timer.stop();
        // Once: whoever keeps this a while longer hears nothing of what comes late.
        if (auto done = std::exchange(m_done, nullptr)) done(std::move(result));
    }

    HeadSocket m_socket;
    Timer m_timer;
    Token m_token;
    v1::StreamHello m_hello;
    std::string m_agentChallenge;
    Descriptor m_service;  // Handed over.
    DialDone m_done;
};

// The agent's end: sends the greeting, checks the hello, waits for answer().
class Welcomer final : public Handshake, public Visitor {
public:
    Welcomer(Loop& loop, Descriptor socket, const Token& token, Asked asked, Refused refused)
        : m_socket(loop, std::move(socket)),
          m_timer(loop),
          m_token(token),
          m_asked(std::move(asked)),
          m_refused(std::move(refused))
    {
        m_timer.after(kHandshakeTimeout, [this] { refuse(silence()); });
        v1::StreamGreeting greeting;
        greeting.set_version(kTunnelVersion);
        greeting.set_challenge(m_challenge);
        m_socket.send(greeting, [this](Result<> sent) {
            if (!sent) return refuse(sent.error());
            m_socket.receive(kMaxHeadBytes,
                             [this](Result<std::string> bytes) { helloCame(bytes); });
        });
    }

    const v1::StreamHello& hello() const override { return m_hello; }

    void answer(Result<> outcome, DialDone done) override
    {
        v1::StreamAnswer answer = proven();
        if (!outcome) {
            answer.set_code(static_cast<std::uint32_t>(outcome.error().code));
            answer.set_message(outcome.error().message);
        }
        m_socket.send(answer, [this, outcome = std::move(outcome),
                               done = std::move(done)](Result<> sent) mutable {
            auto report = std::move(done);  // Outlives this object, which `report` may destroy.
            if (!sent) return report(tl::unexpected(sent.error()));
            if (!outcome) return report(tl::unexpected(outcome.error()));
            report(m_socket.release());
        });
    }

    void handOver(Descriptor service, std::function<void(Result<>)> done) override
    {
        CHECK(m_hello.takes_socket());
        m_socket.send(proven(), std::move(done), std::move(service));
    }

private:
    v1::StreamAnswer proven() const
    {
        v1::StreamAnswer answer;
        answer.set_proof(proofOf(m_token, kAgent, m_challenge, m_hello));
        return answer;
    }

    void helloCame(const Result<std::string>& bytes)
    {
        auto proved = checkHello(bytes);
        if (!proved && proved.error().code == Code::Unauthenticated) return refuseProof();
        if (!proved) return refuse(proved.error());
        m_timer.stop();
        auto asked = std::move(m_asked);
        asked(*this);
    }

    Result<> checkHello(const Result<std::string>& bytes)
    {
        if (!bytes) return tl::unexpected(bytes.error());
        TRY(m_hello, parse<v1::StreamHello>(*bytes));
        TRY_VOID(checkPeer(m_hello.version(), m_hello.challenge()));
        if (!equalProofs(m_hello.proof(), proofOf(m_token, kBridge, m_challenge, m_hello)))
            return tl::unexpected(wrongToken());
        return {};
    }

    // The one answer without a proof: the bridge may hold another boot's token, and its user is to
    // know.
    void refuseProof()
    {
        v1::StreamAnswer answer;
        answer.set_code(kRefusedProof);
        m_socket.send(answer, [this](Result<>) { refuse(wrongToken()); });
    }

    void refuse(Error error)
    {
        m_timer.stop();
        auto refused = std::move(m_refused);
        refused(std::move(error));
    }

    HeadSocket m_socket;
    Timer m_timer;
    Token m_token;
    std::string m_challenge = randomBytes(kChallengeBytes);
    v1::StreamHello m_hello;
    Asked m_asked;
    Refused m_refused;
};

}  // namespace

std::unique_ptr<Handshake> greet(Loop& loop, Descriptor socket, const Token& token,
                                 v1::StreamHello hello, DialDone done)
{
    return std::make_unique<Greeter>(loop, std::move(socket), token, std::move(hello),
                                     std::move(done));
}

std::unique_ptr<Handshake> welcome(Loop& loop, Descriptor socket, const Token& token, Asked asked,
                                   Refused refused)
{
    return std::make_unique<Welcomer>(loop, std::move(socket), token, std::move(asked),
                                      std::move(refused));
}

}  // namespace slipway
