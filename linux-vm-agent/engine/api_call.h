// One request to the engine's API, on dockerd's own socket.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "shared/http/http_stream.h"
#include "shared/io/loop.h"
#include "shared/io/uv_stream.h"

namespace slipway {

// A GET under way. Destroying it gives up; `done` gets the body of a 200 and may destroy it.
class ApiCall {
public:
    using Done = std::function<void(Result<std::string>)>;
    ApiCall(Loop& loop, std::string path, std::chrono::milliseconds limit, Done done);

private:
    void connected(StreamPtr stream);
    void readHead();
    void headCame(const std::string& text);
    void finish(Result<std::string> result);

    Loop& m_loop;
    std::string m_path;
    std::string m_request;
    Done m_done;
    Timer m_timer;
    std::unique_ptr<Connecting> m_connecting;
    std::unique_ptr<http::HttpStream> m_stream;
    std::unique_ptr<http::HeadReader> m_head;
    std::unique_ptr<http::BodyCollector> m_body;
};

}  // namespace slipway
