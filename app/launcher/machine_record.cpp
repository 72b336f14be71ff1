#include "app/launcher/machine_record.h"

#include <string>

#include "shared/core/small_file.h"
#include "shared/json/json.h"
#include "shared/process/process_facts.h"

namespace slipway {

MachineRecord machineRecord(const Home& home)
{
    auto text = readFile(home.machineFile());
    if (!text) return MachineRecord::None;
    auto record = parseJson(*text, home.machineFile().string());
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
