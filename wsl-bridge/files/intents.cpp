#include "wsl-bridge/files/intents.h"

#include <atomic>
#include <cstring>

namespace slipway {
namespace {

// More than the guest can have under way: an answer that was sent may still be on its way for as
// long as this many later requests of the kind take.
constexpr std::size_t kRecords = 4096;
constexpr std::uint32_t kNone = 0, kBegun = 1, kFinished = 2;

}  // namespace

struct Intents::Record {
    std::uint64_t unique;
    std::uint32_t state;
    std::int32_t error;
    Identity before;
    std::uint64_t order;
};

Result<std::unique_ptr<Intents>> Intents::open(const std::filesystem::path& file)
{
    constexpr std::size_t kBytes = kRecords * sizeof(Record);
    TRY(auto mapped, mapFile(file, kBytes, kBytes));
    return std::unique_ptr<Intents>(new Intents(std::move(mapped)));
}

Intents::Intents(std::unique_ptr<MappedFile> file) : m_file(std::move(file))
{
    auto* records = reinterpret_cast<Record*>(m_file->data());
    for (std::size_t i = 0; i < kRecords; ++i) {
        if (records[i].order >= records[m_next].order) m_next = i;
    }
    m_next = (m_next + 1) % kRecords;
}

Intents::Record* Intents::recordOf(std::uint64_t unique) const
{
    auto* records = reinterpret_cast<Record*>(m_file->data());
    for (std::size_t back = 1; back <= kRecords; ++back) {  // The newest first.
        Record& record = records[(m_next + kRecords - back) % kRecords];
        if (record.state == kNone) return nullptr;
        if (record.unique == unique) return &record;
    }
    return nullptr;
}

std::optional<Intent> Intents::find(std::uint64_t unique) const
{
    std::lock_guard lock(m_mutex);
    const Record* record = recordOf(unique);
    if (!record) return std::nullopt;
    return Intent{unique, record->state == kFinished, record->error, record->before};
}

void Intents::begin(std::uint64_t unique, const Identity& before)
{
    std::lock_guard lock(m_mutex);
    auto* records = reinterpret_cast<Record*>(m_file->data());
    Record& record = records[m_next];
    std::uint64_t order = records[(m_next + kRecords - 1) % kRecords].order + 1;
    std::atomic_ref<std::uint32_t>(record.state).store(kNone, std::memory_order_release);
    record.unique = unique;
    record.error = 0;
    record.before = before;
    record.order = order;
    std::atomic_ref<std::uint32_t>(record.state).store(kBegun, std::memory_order_release);
    m_next = (m_next + 1) % kRecords;
}

void Intents::finish(std::uint64_t unique, int error)
{
    std::lock_guard lock(m_mutex);
    Record* record = recordOf(unique);
    if (!record) return;
    record->error = error;
    std::atomic_ref<std::uint32_t>(record->state).store(kFinished, std::memory_order_release);
}

void Intents::clear()
{
    std::lock_guard lock(m_mutex);
    std::memset(m_file->data(), 0, kRecords * sizeof(Record));
    m_next = 0;
}

}  // namespace slipway
