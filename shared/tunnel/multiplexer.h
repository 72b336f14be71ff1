// Many streams on one, for tunnels whose streams are scarce: a machine on Hyper-V has 2,048 sockets
// in all, for everything, and fails before (see ARCHITECTURE.md, "The tunnel").
//
// Theory of operation. Both ends send frames, little endian:
//
//   stream (4 bytes)  kind (2 bytes)  length (2 bytes)  payload
//
// One end opens streams by numbers that it counts up, with the StreamHello that the stream would
// have had by itself; the proof was given when the carrier was dialled. The other end answers with
// a StreamAnswer, and bytes flow. Each direction of a stream has a window: so many bytes may be on
// their way unread, and as its reader reads, credit for more goes back. So a reader that is slow
// holds up no stream but its own, and no more than a window of it is kept. Whoever has bytes and
// credit gets its turn for a frame; the next frames are made when the carrier has taken the last.
//
//   Open     StreamHello      the opener's first word of a stream
//   Answer   StreamAnswer     the other end's
//   Data     bytes            within the window
//   Credit   number, 4 bytes  so many bytes were read
//   End      -                no more bytes from this end; the other direction goes on
//   Reset    -                the stream is over, and what was not read yet is lost
//
// A frame for a stream that is not there any more is ignored, as both ends may end it at once. What
// breaks these rules ends the carrier.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "shared/io/byte_stream.h"
#include "shared/io/loop.h"
#include "shared/proto/agent.pb.h"
#include "shared/tunnel/dialer.h"

namespace slipway {

class Multiplexer {
public:
    // A stream that the other end has opened. Answer once; one that is destroyed unanswered is
    // refused.
    class Visit {
    public:
        virtual ~Visit() = default;
        virtual const v1::StreamHello& hello() const = 0;
        virtual StreamPtr accept() = 0;
        virtual void refuse(const Error& why) = 0;
    };
    using Asked = std::function<void(std::unique_ptr<Visit>)>;

    // `ended` once, when the carrier has; it may destroy this. What was open has failed by then.
    Multiplexer(Loop& loop, StreamPtr carrier, Asked asked, std::function<void()> ended);
    ~Multiplexer();

    DialingPtr open(const v1::StreamHello& hello, Dialer::StreamDone done);
    std::size_t streams() const { return m_channels.size(); }

    static constexpr std::size_t kWindowBytes = 256 * 1024;
    static constexpr std::size_t kMaxFrameBytes = 32 * 1024;
    static constexpr std::size_t kMaxStreams = 10'000;  // That one end opens.

private:
    enum class Kind : std::uint16_t { Open = 1, Answer, Data, Credit, End, Reset };
    class Channel;
    class Stream;
    class Opening;
    class Caller;
    using ChannelPtr = std::shared_ptr<Channel>;

    void read();
    bool take(std::string_view bytes);  // False: the rules are broken.
    bool takeFrame(std::uint32_t id, std::uint16_t kind, std::string_view payload);
    bool opened(std::uint32_t id, std::string_view payload);
    void command(std::uint32_t id, Kind kind, std::string_view payload = {});
    void hasBytes(const ChannelPtr& channel);
    void sendSoon();
    void send();
    void fill(std::vector<ChannelPtr>& written);
    void forget(std::uint32_t id);
    void end();

    Loop& m_loop;
    StreamPtr m_carrier;
    Asked m_asked;
    std::function<void()> m_ended;
    std::string m_partial;   // A frame that has not come whole.
    std::string m_commands;  // Frames but for Data, to be sent.
    std::string m_sending;   // By the carrier. Empty: it is free.
    bool m_willSend = false;
    std::deque<ChannelPtr> m_ready;  // With bytes and credit, in turn.
    std::map<std::uint32_t, ChannelPtr> m_channels;
    std::uint32_t m_lastId = 0;
    Alive m_alive;
};

}  // namespace slipway
