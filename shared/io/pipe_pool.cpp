// Theory of operation. Most receivers take at once what was put into a pipe for them, so it is free
// again before the next stream needs one, and a few serve any number of streams. Those whose
// receiver is slow keep theirs meanwhile; of these there is a limit, as each is two descriptors and
// some pages that the kernel grants a user.
#include "shared/io/pipe_pool.h"

#include <vector>

namespace slipway {
namespace {

constexpr std::size_t kPipeBytes = 1u << 20;
constexpr int kMostLent = 32;
constexpr std::size_t kMostKept = 4;

struct Pool {
    std::vector<std::unique_ptr<KernelPipe>> kept;
    int lent = 0;
};
thread_local Pool pool;

}  // namespace

LentPipe lendPipe()
{
    if (pool.lent == kMostLent) return nullptr;
    std::unique_ptr<KernelPipe> pipe;
    if (!pool.kept.empty()) {
        pipe = std::move(pool.kept.back());
        pool.kept.pop_back();
    } else if (auto made = KernelPipe::make(kPipeBytes)) {
        pipe = std::make_unique<KernelPipe>(*std::move(made));
    } else {
        return nullptr;
    }
    ++pool.lent;
    return LentPipe(pipe.release());
}

void PipeReturn::operator()(KernelPipe* lent) const
{
    std::unique_ptr<KernelPipe> pipe(lent);
    --pool.lent;
    if (pipe->size() == 0 && pool.kept.size() < kMostKept) pool.kept.push_back(std::move(pipe));
}

}  // namespace slipway
