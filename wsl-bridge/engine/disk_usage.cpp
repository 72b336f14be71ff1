#include "wsl-bridge/engine/disk_usage.h"

#include "shared/json/json.h"

namespace slipway {
namespace {

namespace json = boost::json;

std::uint64_t bytesAt(const json::value& value, const char* pointer)
{
    boost::system::error_code absent;
    const auto* number = value.find_pointer(pointer, absent);
    auto bytes = number ? number->to_number<std::int64_t>(absent) : 0;
    return bytes > 0 ? static_cast<std::uint64_t>(bytes) : 0;  // -1 stands for not counted.
}

template <class Counted>
std::uint64_t sum(const json::value& df, const char* list, const Counted& counted)
{
    std::uint64_t total = 0;
    boost::system::error_code absent;
    const auto* all = df.find_pointer(list, absent);
    if (!all || !all->is_array()) return 0;  // null where there is none.
    for (const auto& one : all->get_array()) total += counted(one);
    return total;
}

// A shared record of the build cache is an image's layer.
std::uint64_t ownCacheBytes(const json::value& record)
{
    boost::system::error_code absent;
    const auto* shared = record.find_pointer("/Shared", absent);
    return shared && shared->is_bool() && shared->get_bool() ? 0 : bytesAt(record, "/Size");
}

}  // namespace

Result<std::uint64_t> diskBytesOf(std::string_view systemDf)
{
    TRY(auto df, parseJson(systemDf, "the engine's use of the disk"));
    if (!df.is_object()) return fail(Code::DataLoss, "the engine's use of the disk: not an object");
    return bytesAt(df, "/LayersSize") +
           sum(df, "/Containers", [](const auto& one) { return bytesAt(one, "/SizeRw"); }) +
           sum(df, "/Volumes", [](const auto& one) { return bytesAt(one, "/UsageData/Size"); }) +
           sum(df, "/BuildCache", ownCacheBytes);
}

}  // namespace slipway
