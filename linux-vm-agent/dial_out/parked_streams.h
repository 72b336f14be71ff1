// The way out of the machine: streams that the bridge keeps parked, for whoever wants something of
// the host.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "shared/io/loop.h"
#include "shared/proto/agent.pb.h"
#include "shared/tunnel/head_socket.h"

namespace slipway {

class ParkedStreams {
public:
    explicit ParkedStreams(Loop& loop);
    ~ParkedStreams();

    // One more. `takesSockets`: the bridge would rather have a client's own socket than a relay.
    void park(Descriptor stream, bool takesSockets);

    // A question under way; destroying it gives up.
    class Question;
    using QuestionPtr = std::unique_ptr<Question>;
    // Asks the bridge for `target`; waits up to `limit` for a stream to ask on and the answer.
    // `done` gets the stream there and may destroy the question. A `client` (may be null) goes to
    // the bridge itself where that takes sockets: it is empty then, and so is what `done` gets.
    using Done = std::function<void(Result<Descriptor>)>;
    QuestionPtr ask(v1::DialOut target, Descriptor* client, std::chrono::milliseconds limit,
                    Done done);

private:
    struct Parked {
        std::unique_ptr<HeadSocket> socket;
        bool takesSockets = false;
    };
    void received(std::uint64_t stream, Result<std::string> bytes);
    void serveWaiting();

    Loop& m_loop;
    std::map<std::uint64_t, Parked> m_parked;
    std::map<std::uint64_t, Question*> m_waiting;  // Without a stream yet, the oldest first.
    std::map<std::uint64_t, Question*> m_asked;    // By the stream.
    std::uint64_t m_nextId = 1;
};

// Must not outlive the ParkedStreams that it asks by.
class ParkedStreams::Question {
public:
    ~Question();

private:
    friend class ParkedStreams;
    Question(ParkedStreams& owner, v1::DialOut target, Descriptor* client, Done done);
    void takeStream(std::uint64_t id, Parked parked);
    void answered(const Result<std::string>& bytes);
    void finish(Result<Descriptor> result);

    ParkedStreams& m_owner;
    v1::DialOut m_target;
    Descriptor* m_client;
    Done m_done;
    Timer m_timer;
    std::uint64_t m_id = 0;  // Among those that wait, then its stream's.
    std::unique_ptr<HeadSocket> m_stream;
};

}  // namespace slipway
