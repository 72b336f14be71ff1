// Theory of operation: a LogFile hands out the whole lines written since it was last asked. When
// the path names another file than the open one, the writer has rotated it and writes no more to
// the old one: that is read to its end, then the new one from its start. Lines of several files are
// put in the order of the times they begin with; a line without one (of a stack trace) stays with
// the line before.
#include "app/cli/logs.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>

#include "app/cli/file_id.h"

namespace slipway {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::milliseconds kLookEvery{200};
const std::vector<std::string> kNames{"bridge", "agent", "engine"};

struct LogLine {
    std::string time;
    std::string_view name;
    std::string text;
};

// Ours begin with the time, dockerd's and containerd's with time="…"; both RFC 3339 in UTC, so that
// the order of the texts is the order in time. Empty: the line has none.
std::string timeOf(std::string_view line)
{
    constexpr std::string_view kField = "time=\"";
    if (line.starts_with(kField)) line.remove_prefix(kField.size());
    bool dated = line.size() > 20 && line[4] == '-' && line[7] == '-' && line[10] == 'T';
    return dated ? std::string(line.substr(0, line.find_first_of("Z\" "))) : std::string();
}

class LogFile {
public:
    LogFile(std::string_view name, fs::path path) : m_name(name), m_path(std::move(path)) {}

    void takeNewLines(std::vector<LogLine>& lines)
    {
        auto id = fileId(m_path);
        bool rotated = id && id != m_id;
        if (m_in.is_open()) readOn(lines);
        if (!rotated) return;
        if (!m_unfinished.empty()) add(lines, std::exchange(m_unfinished, {}));
        m_in = std::ifstream(m_path, std::ios::binary);
        m_id = id;
        readOn(lines);
    }

private:
    void readOn(std::vector<LogLine>& lines)
    {
        m_in.clear();
        m_unfinished.append(std::istreambuf_iterator<char>(m_in), {});
        std::size_t begin = 0;
        for (std::size_t end; (end = m_unfinished.find('\n', begin)) != std::string::npos;
             begin = end + 1)
            add(lines, m_unfinished.substr(begin, end - begin));
        m_unfinished.erase(0, begin);
    }

    void add(std::vector<LogLine>& lines, std::string text)
    {
        if (auto time = timeOf(text); !time.empty()) m_lastTime = time;
        lines.push_back({m_lastTime, m_name, std::move(text)});
    }

    std::string_view m_name;
    fs::path m_path;
    std::ifstream m_in;
    std::optional<FileId> m_id;
    std::string m_unfinished;
    std::string m_lastTime;
};

std::vector<LogLine> newLines(std::vector<LogFile>& files)
{
    std::vector<LogLine> lines;
    for (auto& file : files) file.takeNewLines(lines);
    std::stable_sort(lines.begin(), lines.end(),
                     [](const LogLine& a, const LogLine& b) { return a.time < b.time; });
    return lines;
}

void print(const std::vector<LogLine>& lines, bool named, std::ostream& out)
{
    for (const auto& line : lines) {
        if (named) out << fmt::format("{:<6} | ", line.name);
        out << line.text << '\n';
    }
    out.flush();
}

}  // namespace

Result<> printLogs(const Home& home, const LogsOptions& options, std::ostream& out)
{
    const auto& names = options.names.empty() ? kNames : options.names;
    std::vector<LogFile> files;
    bool any = false;
    for (const auto& name : names) {
        fs::path path = home.logDir() / (name + ".log");
        any = any || fs::exists(path);
        files.emplace_back(name, path);
    }
    if (!any && !options.follow)
        return fail(Code::NotFound, fmt::format("no logs in {} yet: slipway start makes them",
                                                home.logDir().string()));
    auto lines = newLines(files);
    if (options.lines && lines.size() > *options.lines)
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(*options.lines));
    print(lines, names.size() > 1, out);
    while (options.follow && out) {
        std::this_thread::sleep_for(kLookEvery);
        print(newLines(files), names.size() > 1, out);
    }
    return {};
}

}  // namespace slipway
