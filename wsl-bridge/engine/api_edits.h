// What the proxy does to the few calls that are not relayed unread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "shared/http/head.h"
#include "shared/io/loop.h"
#include "wsl-bridge/engine/api_call.h"
#include "wsl-bridge/engine/engine_client.h"
#include "wsl-bridge/engine/proxy_context.h"

namespace slipway {

// One request and its answer. Destroying it silences it.
class ApiEdits {
public:
    // Larger bodies that name binds are refused, larger answers relayed as they are.
    static constexpr std::size_t kMaxHeldBytes = 16u << 20;

    ApiEdits(ProxyContext& context, const http::RequestHead& head);

    bool holdsRequest() const;

    // Before the request goes on: `body` is what was held. Gives the body for the engine, or the
    // refusal.
    using Prepared = std::function<void(Result<std::string>)>;
    void prepare(std::string body, Prepared prepared);

    bool holdsAnswer(const http::ResponseHead& answer) const;
    std::string editAnswer(const http::ResponseHead& answer, std::string body);
    // For a stream of messages, which is never held.
    bool editsLines(const http::ResponseHead& answer) const;
    std::string editLine(std::string_view line) const;

    void answered(const http::ResponseHead& answer);  // Once the client has it.

private:
    void grantNext(std::size_t index);
    void granted();
    void remember(const std::string& answer);
    std::string shownMessage(const std::string& message) const;

    ProxyContext& m_context;
    ApiCall m_call;
    std::string m_named;  // In the request's path.
    Prepared m_prepared;
    std::string m_body;
    std::vector<BindRecord> m_binds;
    std::vector<PortRequest> m_ports;
    std::vector<std::filesystem::path> m_hostPaths;
    std::string m_serviceId;  // Of the service that is being updated.
    EngineQuestionPtr m_question;
    Alive m_alive;
};

}  // namespace slipway
