// The calls over one channel that gRPC has not done with yet, so that they can be cancelled
// together and waited for.
//
// A call's context holds its channel, and gRPC does not bear it when a thread of its own is the
// last to let go of a channel: the channel's end waits for the threads that call back, itself among
// them, and what they still use is freed. So the contexts are kept here, and whoever has the
// channel lets go of it only after cancelAndWait().
#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>

#include <grpcpp/client_context.h>

namespace slipway {

class CallsUnderWay {
public:
    grpc::ClientContext* begin();
    // The last thing a call does, from any thread: whoever waits may be gone right after, and the
    // context is. The caller holds this by a shared_ptr.
    void end(grpc::ClientContext* context);
    void cancelAndWait();  // No other may begin after this.

private:
    std::mutex m_mutex;
    std::condition_variable m_ended;
    std::map<grpc::ClientContext*, std::shared_ptr<grpc::ClientContext>> m_contexts;
    std::size_t m_open = 0;  // Guarded by m_mutex, as is m_contexts.
};

}  // namespace slipway
