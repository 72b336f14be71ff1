#include "tests/fuzz/hostile_machine.h"

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QTemporaryDir>

#include "shared/fuse/message_stream.h"
#include "wsl-bridge/files/file_server.h"

namespace slipway::test {
namespace {

namespace fs = std::filesystem;
using fuse::Opcode;

constexpr std::string_view kSecret = "nobody granted this";
constexpr rlim_t kMaxFileBytes = 1u << 20;  // So that no request fills the disk.
constexpr std::size_t kMaxRequests = 64;
constexpr int kAnswerMs = 2000;

// How a request is made of the script: its fixed part, whether that begins with a node, and how
// many names follow.
struct Shape {
    Opcode opcode;
    std::size_t bytes;
    bool beginsWithNode;
    int names;
};
constexpr Shape kShapes[] = {
    {Opcode::Lookup, 0, false, 1},
    {Opcode::Getattr, 16, false, 0},
    {Opcode::Setattr, sizeof(fuse::SetattrIn), false, 0},
    {Opcode::Readlink, 0, false, 0},
    {Opcode::Symlink, 0, false, 2},
    {Opcode::Mknod, sizeof(fuse::MknodIn), false, 1},
    {Opcode::Mkdir, sizeof(fuse::MkdirIn), false, 1},
    {Opcode::Unlink, 0, false, 1},
    {Opcode::Rmdir, 0, false, 1},
    {Opcode::Rename, sizeof(fuse::RenameIn), true, 2},
    {Opcode::Rename2, sizeof(fuse::Rename2In), true, 2},
    {Opcode::Link, sizeof(fuse::LinkIn), true, 1},
    {Opcode::Create, sizeof(fuse::CreateIn), false, 1},
    {Opcode::Tmpfile, sizeof(fuse::CreateIn), false, 1},
    {Opcode::Read, sizeof(fuse::ReadIn), false, 0},
    {Opcode::Write, sizeof(fuse::WriteIn), false, 1},
    {Opcode::Readdir, sizeof(fuse::ReadIn), false, 0},
    {Opcode::Readdirplus, sizeof(fuse::ReadIn), false, 0},
    {Opcode::Statfs, 0, false, 0},
    {Opcode::Fsync, sizeof(fuse::FsyncIn), false, 0},
    {Opcode::Setxattr, sizeof(fuse::SetxattrIn), false, 2},
    {Opcode::Getxattr, sizeof(fuse::GetxattrIn), false, 1},
    {Opcode::Listxattr, sizeof(fuse::GetxattrIn), false, 0},
    {Opcode::Removexattr, 0, false, 1},
    {Opcode::Fallocate, sizeof(fuse::FallocateIn), false, 0},
    {Opcode::Lseek, sizeof(fuse::LseekIn), false, 0},
    {Opcode::Forget, sizeof(fuse::ForgetIn), false, 0},
    {Opcode::BatchForget, 24, false, 0},
    {Opcode::InjectorReady, sizeof(fuse::InjectorReadyBody), false, 0},
    {Opcode::InjectionDone, sizeof(fuse::InjectionDoneBody), false, 0},
};
constexpr std::string_view kNames[] = {"file",  "folder",    "out",       "absolute",    "inner",
                                       "new",   "other",     "..",        ".",           "",
                                       "../..", "a/b",       "../secret", "secret",      "/",
                                       "/etc",  "file/../x", "user.x",    "folder/inner"};

void writeFile(const fs::path& path, std::string_view text)
{
    std::ofstream(path, std::ios::binary) << text;
}

std::string readFile(const fs::path& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> namesIn(const fs::path& folder)
{
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
}

// The host: a folder that is granted, with ways out of it, and one that is not.
class Host {
public:
    Host()
    {
        rlimit most{kMaxFileBytes, kMaxFileBytes};
        ::setrlimit(RLIMIT_FSIZE, &most);
        std::signal(SIGXFSZ, SIG_IGN);
        base = fs::canonical(m_dir.path().toStdString());
        fs::create_directory(base / "secret");
        writeFile(base / "secret/file", kSecret);
    }
    ~Host()
    {
        std::error_code ignored;  // QTemporaryDir leaves a name that is not UTF-8.
        fs::remove_all(base, ignored);
    }
    void makeShared() const
    {
        fs::remove_all(base / "shared");
        fs::create_directories(base / "shared/folder/inner");
        writeFile(base / "shared/file", "granted");
        writeFile(base / "shared/folder/inner/file", "granted too");
        fs::create_directory_symlink("../secret", base / "shared/out");
        fs::create_symlink(base / "secret/file", base / "shared/absolute");
    }
    std::string harm() const
    {
        if (readFile(base / "secret/file") != kSecret)
            return "it changed a file that is not granted";
        if (namesIn(base / "secret") != std::set<std::string>{"file"})
            return "it changed a folder that is not granted";
        auto names = namesIn(base);
        names.erase("shared");  // It may move what is granted nowhere, but the host could.
        if (names != std::set<std::string>{"secret", "state"}) return "it made something beside";
        return {};
    }

    fs::path base;

private:
    QTemporaryDir m_dir;
};

class Script {
public:
    explicit Script(std::string_view text) : m_rest(text) {}
    bool atEnd() const { return m_rest.empty(); }
    std::uint8_t byte()
    {
        if (m_rest.empty()) return 0;
        auto first = static_cast<std::uint8_t>(m_rest.front());
        m_rest.remove_prefix(1);
        return first;
    }
    std::string bytes(std::size_t count)
    {
        std::string taken(m_rest.substr(0, count));
        m_rest.remove_prefix(taken.size());
        taken.resize(count);
        return taken;
    }

private:
    std::string_view m_rest;
};

class Machine {
public:
    explicit Machine(int socket) : m_socket(socket) {}

    // INIT, then the way down to the granted folder, whose nodes it then knows.
    void begin(const fs::path& granted)
    {
        fuse::InitIn in{};
        in.major = fuse::kMajor;
        in.minor = 45;
        in.flags = ~0u;
        in.flags2 = ~0u;
        send(Opcode::Init, 0, {reinterpret_cast<const char*>(&in), sizeof in});
        std::uint64_t node = fuse::kRootId;
        for (const auto& part : granted.relative_path())
            node = lookup(node, part.string()).value_or(node);
        for (const char* name : {"file", "folder", "out", "absolute"}) lookup(node, name);
    }

    void request(Script& script)
    {
        std::uint8_t kind = script.byte();
        if (kind == 255) return sendRaw(script.bytes(script.byte() % 96));
        const Shape& shape = kShapes[kind % std::size(kShapes)];
        std::uint64_t node = chosenNode(script);
        std::string body = script.bytes(shape.bytes);
        if (shape.beginsWithNode) {
            std::uint64_t other = chosenNode(script);
            body.replace(0, sizeof other, reinterpret_cast<const char*>(&other), sizeof other);
        }
        for (int i = 0; i < shape.names; ++i) {
            std::uint8_t which = script.byte();
            body += which < 200 ? std::string(kNames[which % std::size(kNames)])
                                : script.bytes(which - 200);
            if (which != 199) body += '\0';
        }
        send(shape.opcode, node, body);
    }

    bool sawSecret() const { return m_sawSecret; }
    bool ended() const { return m_ended; }

private:
    std::uint64_t chosenNode(Script& script)
    {
        std::uint8_t which = script.byte();
        return which >= 250 ? which : m_nodes[which % m_nodes.size()];
    }
    std::optional<std::uint64_t> lookup(std::uint64_t parent, std::string name)
    {
        name += '\0';
        std::string answer = send(Opcode::Lookup, parent, name);
        if (answer.size() < sizeof(fuse::OutHeader) + sizeof(fuse::EntryOut)) return std::nullopt;
        fuse::EntryOut entry;
        std::memcpy(&entry, answer.data() + sizeof(fuse::OutHeader), sizeof entry);
        if (entry.nodeid) m_nodes.push_back(entry.nodeid);
        return entry.nodeid;
    }
    // The answer; empty if there is none.
    std::string send(Opcode opcode, std::uint64_t node, std::string_view body)
    {
        fuse::InHeader header{};
        header.len = static_cast<std::uint32_t>(sizeof header + body.size());
        header.opcode = opcode;
        header.unique = m_next += 2;
        header.nodeid = node;
        std::string message(reinterpret_cast<const char*>(&header), sizeof header);
        sendRaw(message.append(body));
        bool answered = !fuse::isOneWay(opcode) && opcode != Opcode::InjectorReady &&
                        opcode != Opcode::InjectionDone;
        return answered ? answerTo(header.unique) : std::string();
    }
    void sendRaw(const std::string& message)
    {
        if (::send(m_socket, message.data(), message.size(), MSG_NOSIGNAL) < 0) m_ended = true;
    }
    std::string answerTo(std::uint64_t unique)
    {
        while (!m_ended) {
            fuse::OutHeader header{};
            if (m_in.size() >= sizeof header) std::memcpy(&header, m_in.data(), sizeof header);
            if (header.len >= sizeof header && m_in.size() >= header.len) {
                std::string answer = m_in.substr(0, header.len);
                m_in.erase(0, header.len);
                m_sawSecret |= answer.find(kSecret) != std::string::npos;
                if (header.unique == unique) return answer;
                continue;
            }
            pollfd ready{m_socket, POLLIN, 0};
            std::array<char, 65536> part;
            ssize_t count = ::poll(&ready, 1, kAnswerMs) == 1
                                ? ::recv(m_socket, part.data(), part.size(), 0)
                                : -1;
            if (count <= 0) m_ended = true;
            if (count > 0) m_in.append(part.data(), static_cast<std::size_t>(count));
        }
        return {};
    }

    int m_socket;
    std::string m_in;
    std::uint64_t m_next = 2;
    std::vector<std::uint64_t> m_nodes{fuse::kRootId};
    bool m_sawSecret = false;
    bool m_ended = false;
};

}  // namespace

std::string reachedBeyondGrant(std::string_view text)
{
    static const Host host;
    host.makeShared();
    fs::remove_all(host.base / "state");
    auto server = startFileServer({host.base / "state", {}});
    if (!server) return "no server: " + server.error().message;
    if (auto granted = (*server)->grant(host.base / "shared"); !granted)
        return granted.error().message;
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return "no socket";
    Descriptor ours(ends[0]);
    if (auto attached = (*server)->attach(0, Descriptor(ends[1])); !attached)
        return attached.error().message;

    Machine machine(ours.get());
    machine.begin(host.base / "shared");
    Script script(text);
    for (std::size_t i = 0; i < kMaxRequests && !script.atEnd() && !machine.ended(); ++i)
        machine.request(script);
    ours.reset();
    (*server).reset();
    if (machine.sawSecret()) return "it read what is not granted";
    return host.harm();
}

}  // namespace slipway::test
