// The engine's stream of events, for whoever asks it anew after each.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "shared/http/http_stream.h"
#include "shared/io/loop.h"
#include "shared/io/uv_stream.h"

namespace slipway {

// What an event says is not read: `happened` is called once the stream stands, and then for what
// comes, several events at once perhaps. A stream that ends is asked for again.
class EngineEvents {
public:
    // `path` is that of /events, with its filters.
    EngineEvents(Loop& loop, std::string path, std::function<void()> happened);

    void watch();  // An engine answers.
    void rest();   // None does.

private:
    void connected(StreamPtr stream);
    void readHead();
    void readEvents();
    void again();

    Loop& m_loop;
    std::string m_request;
    std::function<void()> m_happened;
    Timer m_retry;
    std::unique_ptr<Connecting> m_connecting;
    std::unique_ptr<http::HttpStream> m_stream;
    std::unique_ptr<http::HeadReader> m_head;
};

}  // namespace slipway
