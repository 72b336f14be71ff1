#include "shared/rpc/calls_under_way.h"

namespace slipway {

grpc::ClientContext* CallsUnderWay::begin()
{
    auto context = std::make_shared<grpc::ClientContext>();
    std::lock_guard lock(m_mutex);
    ++m_open;
    m_contexts.emplace(context.get(), context);
    return context.get();
}

void CallsUnderWay::end(grpc::ClientContext* context)
{
    std::unique_lock lock(m_mutex);
    auto node = m_contexts.extract(context);
    lock.unlock();
    node = {};  // Before anybody hears of it; unless cancelAndWait() holds it too.
    lock.lock();
    --m_open;
    m_ended.notify_all();
}

void CallsUnderWay::cancelAndWait()
{
    std::unique_lock lock(m_mutex);
    auto all = m_contexts;
    lock.unlock();  // A cancellation may call back from within, and that ends in end().
    for (const auto& [raw, context] : all) context->TryCancel();
    lock.lock();
    m_ended.wait(lock, [this] { return m_open == 0; });
}

}  // namespace slipway
