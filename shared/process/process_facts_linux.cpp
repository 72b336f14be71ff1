#include "shared/process/process_facts.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

namespace slipway {
namespace {

// The fields of /proc/<pid>/stat from the third, the state, on: the second may hold blanks and
// brackets.
std::vector<std::string> statFields(pid_t pid)
{
    std::ifstream in(fmt::format("/proc/{}/stat", pid));
    std::string line;
    std::getline(in, line);
    std::vector<std::string> fields;
    auto nameEnd = line.rfind(')');
    if (nameEnd == std::string::npos) return fields;
    std::istringstream rest(line.substr(nameEnd + 1));
    for (std::string field; rest >> field;) fields.push_back(field);
    return fields;
}

constexpr std::size_t kState = 0;
constexpr std::size_t kParent = 4 - 3;
constexpr std::size_t kStartTime = 22 - 3;

bool runs(const std::vector<std::string>& fields)
{
    return !fields.empty() && fields[kState] != "Z" && fields[kState] != "X";
}

}  // namespace

bool isRunning(pid_t pid)
{
    return runs(statFields(pid));
}

std::string programOf(pid_t pid)
{
    std::error_code failed;
    auto program = std::filesystem::read_symlink(fmt::format("/proc/{}/exe", pid), failed);
    return failed ? std::string() : program.filename().string();
}

pid_t parentOf(pid_t pid)
{
    auto fields = statFields(pid);
    return runs(fields) && fields.size() > kParent ? std::stoi(fields[kParent]) : 0;
}

std::optional<std::uint64_t> startTimeOf(pid_t pid)
{
    auto fields = statFields(pid);
    if (!runs(fields) || fields.size() <= kStartTime) return std::nullopt;
    return std::stoull(fields[kStartTime]);
}

std::uint64_t pssBytesOf(pid_t pid)
{
    std::ifstream in(fmt::format("/proc/{}/smaps_rollup", pid));
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string name;
        std::uint64_t kib = 0;
        if (words >> name >> kib && name == "Pss:") return kib * 1024;
    }
    return 0;
}

void askToEnd(pid_t pid)
{
    ::kill(pid, SIGTERM);
}

}  // namespace slipway
