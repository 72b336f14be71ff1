#include "tests/support/slipway_fixture.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <QtTest>
#include <fmt/format.h>

#include "shared/json/json.h"

namespace slipway::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr const char* kSudoVariables[] = {"SUDO_UID", "SUDO_GID", "SUDO_USER"};

fs::path variable(const char* name)
{
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::string firstLine(const fs::path& file)
{
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

// Every process as the host counts.
std::vector<pid_t> processes()
{
    std::vector<pid_t> pids;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        std::string name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") == std::string::npos)
            pids.push_back(std::stoi(name));
    }
    return pids;
}

fs::path pidNamespaceOf(pid_t pid)
{
    std::error_code ignored;
    return fs::read_symlink(fmt::format("/proc/{}/ns/pid", pid), ignored);
}

Result<std::string> tool(const std::string& program, const std::vector<std::string>& args)
{
    Command command;
    command.program = program;
    command.args = args;
    return outputOf(command, 10s);
}

Output outputOrError(Result<Output> output)
{
    return output ? *output : Output{-1, "", output.error().message};
}

// What a sanitizer said in the machine: the logs alone have it, and tests/run fails who prints it.
void tellSanitizerReports(const fs::path& logDir)
{
    auto found = tool("grep", {"-rhE", "-A", "40", "Sanitizer: |runtime error: ", logDir.string()});
    if (found) std::fprintf(stderr, "%s\n", found->c_str());  // Without a match grep ends with 1.
}

// Runs in the user's place, or in root's.
Command asUser(const TestUser* user, const fs::path& program, std::vector<std::string> args)
{
    Command command;
    command.program = program;
    if (user) {
        command.program = "setpriv";
        std::vector<std::string> words{"--reuid",    user->name(),    "--regid",
                                       user->name(), "--init-groups", user->seen(program).string()};
        args.insert(args.begin(), words.begin(), words.end());
    }
    command.args = std::move(args);
    return command;
}

// The first of these facts that does not hold, with its remedy.
std::string lacking(const std::vector<std::string>& facts, const TestUser* user)
{
    auto said = outputOf(asUser(user, variable("SLIPWAY_BIN") / "slipway-sandbox",
                                {"check", "--json", "--home", "/tmp"}),
                         20s);
    auto known =
        said.and_then([](const std::string& text) { return parseJson(text, "slipway-sandbox"); });
    if (!known) return known.error().message + "; build the programs: tests/run";
    for (const std::string& name : facts) {
        const auto& fact = known->at(name);
        if (!fact.at("ok").as_bool())
            return fmt::format("{}: {}; {}", name, fact.at("reason").as_string().c_str(),
                               fact.at("remedy").as_string().c_str());
    }
    return {};
}

}  // namespace

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit)
{
    auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        ::poll(nullptr, 0, 10);
    }
    return true;
}

std::string whyNoSlipway(const std::vector<std::string>& facts)
{
    if (::geteuid() != 0) return "needs root; run: sudo tests/run";
    for (const char* name : {"SLIPWAY_BIN", "SLIPWAY_ROOTFS", "SLIPWAY_CLI"}) {
        fs::path path = variable(name);
        if (path.empty() || !fs::exists(path))
            return fmt::format("{} names nothing that is there; run it through tests/run", name);
    }
    std::vector<std::string> all{"namespaces", "cgroups"};
    all.insert(all.end(), facts.begin(), facts.end());
    return lacking(all, nullptr);
}

std::string whyNoSlipwayOf(const TestUser& user)
{
    return lacking({"namespaces", "subids", "newuidmap"}, &user);
}

SlipwayFixture::SlipwayFixture(const std::string& settings, const TestUser* user, Sudo sudo)
    : m_dir("/tmp/slw-XXXXXX"),
      m_user(user),
      m_sudo(sudo),
      m_work(m_dir.path().toStdString() + "/work"),
      m_home{fs::path(m_dir.path().toStdString()) / fs::path(m_dir.path().toStdString()).filename()}
{
    if (m_sudo == Sudo::Yes) {
        m_work = m_user->home() / "work";
        m_home.root = m_user->home() / ".slipway";
    }
    fs::create_directories(m_work);
    fs::create_directories(m_home.root);
    if (m_user)
        for (const fs::path& path : {fs::path(m_dir.path().toStdString()), m_work, m_home.root})
            m_user->own(path);
    std::string text = settings;
    for (auto [name, asked] : {std::pair{"streams", "SLIPWAY_STREAMS"}, {"files", "SLIPWAY_FILES"}})
        if (auto way = variable(asked).string(); text.empty() && !way.empty())
            text = fmt::format("{{\"{}\": \"{}\"}}", name, way);
    if (!text.empty()) write(text);
}

SlipwayFixture::~SlipwayFixture()
{
    tellSanitizerReports(m_home.logDir());
    slipway({"uninstall", "--yes"});
}

std::map<std::string, std::string> SlipwayFixture::environment() const
{
    std::map<std::string, std::string> all;
    for (char** entry = ::environ; *entry; ++entry) {
        std::string text = *entry;
        auto equals = text.find('=');
        all[text.substr(0, equals)] = text.substr(equals + 1);
    }
    all.erase("DOCKER_HOST");
    all["SLIPWAY_HOME"] = m_home.root.string();
    all["DOCKER_CONFIG"] = m_dir.path().toStdString() + "/docker";
    all["DOCKER_CONTEXT"] = m_home.instanceName();
    if (m_sudo == Sudo::Yes) {
        for (const char* name : kSudoVariables) all.erase(name);
        all.erase("SLIPWAY_HOME");
        all.erase("DOCKER_CONFIG");
    }
    auto seen = [this](const fs::path& path) {
        return (m_user ? m_user->seen(path) : path).string();
    };
    all["PATH"] = seen(variable("SLIPWAY_CLI")) + ":" + all["PATH"];
    if (m_user) {  // A folder of the sub-uids' is unpacked for it; the shared one is root's.
        all["HOME"] = m_sudo == Sudo::Yes ? m_user->home().string() : m_dir.path().toStdString();
        all["SLIPWAY_ROOTFS"] = seen(variable("SLIPWAY_ROOTFS").string() + ".tar.zst");
        all["SLIPWAY_BIN"] = seen(variable("SLIPWAY_BIN"));
    }
    return all;
}

Command SlipwayFixture::commandFor(std::string program, Words args) const
{
    Command command = asUser(m_user, program, std::move(args));
    command.environment = environment();
    command.workDir = m_work;
    return command;
}

Output SlipwayFixture::perform(std::string program, Words args, std::chrono::seconds limit)
{
    return outputOrError(run(commandFor(std::move(program), std::move(args)), limit));
}

Output SlipwayFixture::slipway(const Words& args, std::chrono::seconds limit)
{
    auto program = variable("SLIPWAY_BIN") / "slipway";
    Command command = commandFor(program, args);
    if (m_sudo == Sudo::Yes) {
        for (const char* name : kSudoVariables)
            (*command.environment)[name] = variable(name).string();
        (*command.environment)["HOME"] = "/root";
        (*command.environment)["SLIPWAY_ROOTFS"] = variable("SLIPWAY_ROOTFS").string();
        command.program = program;
        command.args = args;
    }
    command.environment->erase("DOCKER_CONTEXT");  // Else it would keep the context when it stops.
    return outputOrError(run(command, limit));
}

Output SlipwayFixture::docker(const Words& args, std::chrono::seconds limit)
{
    return perform(variable("SLIPWAY_CLI") / "docker", args, limit);
}

Output SlipwayFixture::shell(const std::string& script, std::chrono::seconds limit)
{
    return perform("/bin/sh", {"-c", script}, limit);
}

void SlipwayFixture::tellLogs() const
{
    for (const char* name : {"bridge.log", "agent.log", "engine.log"}) {
        auto tail = tool("tail", {"-n", "40", (m_home.logDir() / name).string()});
        std::fprintf(stderr, "--- %s\n%s", name, tail ? tail->c_str() : "none\n");
    }
}

bool SlipwayFixture::start()
{
    Output output = slipway({"start"});
    if (output.exitCode != 0)
        std::fprintf(stderr, "slipway start: %s%s\n", output.out.c_str(), output.err.c_str());
    return output.exitCode == 0;
}

bool SlipwayFixture::makeImage()
{
    Output output = shell(
        "set -e; d=$(mktemp -d); mkdir -p $d/bin $d/tmp $d/etc; cp /bin/busybox $d/bin/; "
        "for a in $(/bin/busybox --list); do [ $a = busybox ] || ln -s busybox $d/bin/$a; done; "
        "echo root:x:0:0:root:/:/bin/sh > $d/etc/passwd; chmod 1777 $d/tmp; "
        "tar -C $d -c . | docker import -c 'ENV PATH=/bin' -c 'CMD [\"sh\"]' "
        // As PID 1 these programs ignore SIGTERM, and each stop would wait ten seconds for them.
        "-c 'STOPSIGNAL SIGKILL' - box; rm -rf $d");
    if (output.exitCode != 0) std::fprintf(stderr, "make image: %s\n", output.err.c_str());
    return output.exitCode == 0;
}

bool SlipwayFixture::startWith(const std::string& settings)
{
    if (settings != m_settings) {
        write(settings);
        if (bridgePid() && slipway({"stop"}).exitCode != 0) return false;
    }
    return start() && (docker({"image", "inspect", "box"}).exitCode == 0 || makeImage());
}

void SlipwayFixture::write(const std::string& settings)
{
    std::ofstream(m_home.settingsFile()) << settings;
    if (m_user) m_user->own(m_home.settingsFile());
    m_settings = settings;
}

bool SlipwayFixture::status(int exitCode)
{
    Output output = slipway({"status"});
    if (output.exitCode == exitCode) return true;
    std::fprintf(stderr, "slipway status: exit %d\n%s%s\n", output.exitCode, output.out.c_str(),
                 output.err.c_str());
    return false;
}

std::string SlipwayFixture::endpoint() const
{
    return "unix://" + m_home.endpointSocket().string();
}

// Who holds the bridge's lock, proc_locks(5).
pid_t SlipwayFixture::bridgePid() const
{
    struct stat lock {};
    if (::stat(m_home.bridgeLock().c_str(), &lock) != 0) return 0;
    auto file =
        fmt::format("{:02x}:{:02x}:{}", major(lock.st_dev), minor(lock.st_dev), lock.st_ino);
    std::ifstream in("/proc/locks");
    for (std::string line; std::getline(in, line);) {
        std::istringstream words(line);
        std::string number, kind, mode, access, where;
        pid_t pid = 0;
        if (words >> number >> kind >> mode >> access >> pid >> where && where == file) return pid;
    }
    return 0;
}

pid_t SlipwayFixture::machinePid() const
{
    std::ifstream in(m_home.machineFile());
    std::string text(std::istreambuf_iterator<char>(in), {});
    auto record = parseJson(text, "machine.json");
    if (!record || !record->is_object()) return 0;
    const auto* pid = record->get_object().if_contains("pid");
    if (!pid) return 0;
    pid_t number = static_cast<pid_t>(pid->to_number<int>());
    // A zombie is nobody: its new parent may take its time to reap it.
    std::string stat = firstLine(fmt::format("/proc/{}/stat", number));
    bool alive = !stat.empty() && stat.find(") Z ") == std::string::npos;
    return alive ? number : 0;
}

pid_t SlipwayFixture::pidInMachine(const std::string& comm) const
{
    pid_t init = machinePid();
    if (!init) return 0;
    fs::path ours = pidNamespaceOf(init);
    for (pid_t pid : processes())
        if (firstLine(fmt::format("/proc/{}/comm", pid)) == comm && pidNamespaceOf(pid) == ours)
            return pid;
    return 0;
}

bool SlipwayFixture::ping()
{
    Command command;
    command.program = "curl";
    command.args = {"-s",
                    "--max-time",
                    "1",
                    "--unix-socket",
                    m_home.endpointSocket().string(),
                    "http://slipway/_ping"};
    auto answer = outputOf(command, 5s);
    return answer && *answer == "OK";
}

void addWaysOfSharing()
{
    QTest::addColumn<std::string>("files");
    for (const char* way : {"direct", "fuse"}) QTest::newRow(way) << std::string(way);
}

std::string settingsOfTheWay()
{
    QFETCH_GLOBAL(std::string, files);
    return fmt::format("{{\"files\": \"{}\"}}", files);
}

bool has(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

Result<std::string> httpGet(const std::string& address, int port, const std::string& path)
{
    Command command;
    command.program = "curl";
    std::string host = address.find(':') == std::string::npos ? address : "[" + address + "]";
    command.args = {"-s", "-S",        "-f", "--max-time",
                    "5",  "--noproxy", "*",  fmt::format("http://{}:{}{}", host, port, path)};
    return outputOf(command, 10s);
}

}  // namespace slipway::test
