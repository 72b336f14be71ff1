// What the bridge is doing, shown while another call waits for it.
#pragma once

#include <cstddef>
#include <string>
#include <thread>

#include <grpcpp/client_context.h>

#include "shared/proto/bridge.grpc.pb.h"

namespace slipway {

// From its construction to its end, on standard error: on a terminal one line, which is wiped at
// the end, else a line for each step.
class Progress {
public:
    explicit Progress(v1::Bridge::Stub& bridge);
    ~Progress();

private:
    void watch(v1::Bridge::Stub& bridge);
    void show(const v1::State& state);

    grpc::ClientContext m_call;
    std::size_t m_columns;  // 0: not a terminal.
    std::string m_shown;
    std::thread m_watcher;
};

}  // namespace slipway
