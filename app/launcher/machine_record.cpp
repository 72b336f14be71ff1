#include "app/launcher/machine_record.h"

#include <fstream>
#include <iterator>
#include <string>

#include "shared/process/process_facts.h"
#include "shared/json/json.h"

namespace slipway {

MachineRecord machineRecord(const Home& home)
{
    std::ifstream in(home.machineFile());
    if (!in) return MachineRecord::None;
    std::string text(std::istreambuf_iterator<char>(in), {});
    auto record = parseJson(text, home.machineFile().string());
    boost::system::error_code absent;
    const auto* pid = record ? record->find_pointer("/pid", absent) : nullptr;
    const auto* startTime = record ? record->find_pointer("/start_time", absent) : nullptr;
    if (!pid || !startTime || !pid->is_int64() || !startTime->is_int64())
        return MachineRecord::Ended;
    auto started = startTimeOf(static_cast<pid_t>(pid->get_int64()));
    return started == static_cast<std::uint64_t>(startTime->get_int64()) ? MachineRecord::Alive
                                                                         : MachineRecord::Ended;
}

}  // namespace slipway
