#include "tests/support/files/posix_script.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/falloc.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/io/descriptor.h"

namespace slipway::test {
namespace {

using Words = std::vector<std::string>;
using Flags = std::map<std::string, int>;

const Flags kOpenFlags = {{"rd", O_RDONLY},     {"wr", O_WRONLY},         {"rdwr", O_RDWR},
                          {"creat", O_CREAT},   {"excl", O_EXCL},         {"trunc", O_TRUNC},
                          {"append", O_APPEND}, {"dir", O_DIRECTORY},     {"nofollow", O_NOFOLLOW},
                          {"path", O_PATH},     {"nonblock", O_NONBLOCK}, {"sync", O_SYNC},
                          {"direct", O_DIRECT}, {"tmpfile", O_TMPFILE},   {"noatime", O_NOATIME}};
const Flags kAllocateFlags = {{"keep", FALLOC_FL_KEEP_SIZE},
                              {"punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE},
                              {"zero", FALLOC_FL_ZERO_RANGE},
                              {"collapse", FALLOC_FL_COLLAPSE_RANGE},
                              {"insert", FALLOC_FL_INSERT_RANGE}};
const Flags kWhence = {{"set", SEEK_SET},
                       {"cur", SEEK_CUR},
                       {"end", SEEK_END},
                       {"data", SEEK_DATA},
                       {"hole", SEEK_HOLE}};
const Flags kRenameFlags = {
    {"noreplace", RENAME_NOREPLACE}, {"exchange", RENAME_EXCHANGE}, {"whiteout", RENAME_WHITEOUT}};
const Flags kAttributeFlags = {{"create", XATTR_CREATE}, {"replace", XATTR_REPLACE}};
const Flags kLocks = {{"sh", LOCK_SH | LOCK_NB}, {"ex", LOCK_EX | LOCK_NB}, {"un", LOCK_UN}};
const Flags kRecordLocks = {{"rd", F_RDLCK}, {"wr", F_WRLCK}, {"un", F_UNLCK}};

std::string errorName()
{
    const char* name = ::strerrorname_np(errno);
    return name ? name : std::to_string(errno);
}

std::string typeName(mode_t mode)
{
    switch (mode & S_IFMT) {
        case S_IFREG:
            return "file";
        case S_IFDIR:
            return "dir";
        case S_IFLNK:
            return "link";
        case S_IFIFO:
            return "fifo";
        case S_IFSOCK:
            return "socket";
        case S_IFCHR:
            return "char";
        default:
            return "block";
    }
}

std::string timeText(const timespec& time)
{
    return fmt::format("{}.{:09}", time.tv_sec, time.tv_nsec);
}

bool isNewer(const timespec& a, const timespec& b)
{
    return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
}

// Until what is changed now gets a later time than what was changed before (ktime_get_coarse).
void waitForNextTick()
{
    timespec begun{}, now{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &begun);
    do {
        ::sched_yield();
        ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (!isNewer(now, begun));
}

std::string field(const struct stat& facts, const std::string& what)
{
    if (what == "type") return typeName(facts.st_mode);
    if (what == "mode") return fmt::format("{:04o}", facts.st_mode & 07777);
    if (what == "uid") return std::to_string(facts.st_uid);
    if (what == "gid") return std::to_string(facts.st_gid);
    if (what == "size") return std::to_string(facts.st_size);
    if (what == "nlink") return std::to_string(facts.st_nlink);
    if (what == "rdev") return fmt::format("{}:{}", major(facts.st_rdev), minor(facts.st_rdev));
    if (what == "mtime") return timeText(facts.st_mtim);
    if (what == "atime") return timeText(facts.st_atim);
    return "?" + what;
}

class Script {
public:
    Script();
    std::string run(std::string_view script);

private:
    std::string call(Words words);
    std::string answer(long outcome) const { return outcome < 0 ? errorName() : "ok"; }
    std::string value(long outcome) const
    {
        return outcome < 0 ? errorName() : std::to_string(outcome);
    }

    // Of the call in hand.
    const std::string& word(std::size_t i) const { return m_words.at(i); }
    const char* path(std::size_t i) const { return m_words.at(i).c_str(); }
    bool has(std::size_t i) const { return i < m_words.size(); }
    long number(std::size_t i) const { return std::stol(word(i)); }
    mode_t mode(std::size_t i) const
    {
        return static_cast<mode_t>(std::stoul(word(i), nullptr, 8));
    }
    int& file(std::size_t i) { return m_files[word(i)]; }
    int flags(std::size_t from, const Flags& known) const
    {
        int all = 0;
        for (std::size_t i = from; i < m_words.size(); ++i)
            if (auto found = known.find(word(i)); found != known.end()) all |= found->second;
        return all;
    }

    std::string as();
    std::string stat(bool follow);
    std::string fields(const struct stat& facts) const;
    std::string open();
    std::string put(int flags);
    std::string cat();
    std::string read(int fd, std::size_t count, long offset);
    std::string list();
    std::string utime(int flags);
    std::string since();
    std::string attribute();
    std::string attributeNames();
    std::string makeSocket();
    std::string map();
    std::string execute();
    std::string elsewhere();
    std::string recordLock();

    std::map<std::string, std::function<std::string()>> m_calls;
    Words m_words;
    std::map<std::string, int> m_files;
    std::map<std::string, struct stat> m_kept;
    char* m_map = nullptr;
    std::size_t m_mapBytes = 0;
};

Script::Script()
{
    m_calls = {
        {"as", [this] { return as(); }},
        {"umask", [this] { return fmt::format("{:04o}", ::umask(mode(1))); }},
        {"chdir", [this] { return answer(::chdir(path(1))); }},
        {"wait", [] { return waitForNextTick(), std::string("ok"); }},

        {"mkdir", [this] { return answer(::mkdir(path(1), mode(2))); }},
        {"rmdir", [this] { return answer(::rmdir(path(1))); }},
        {"unlink", [this] { return answer(::unlink(path(1))); }},
        {"link", [this] { return answer(::link(path(1), path(2))); }},
        {"linkfile",
         [this] {
             auto from = fmt::format("/proc/self/fd/{}", file(1));
             return answer(::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, path(2), AT_SYMLINK_FOLLOW));
         }},
        {"symlink", [this] { return answer(::symlink(path(1), path(2))); }},
        {"readlink",
         [this] {
             std::array<char, 5000> text{};
             ssize_t count = ::readlink(path(1), text.data(), text.size());
             return count < 0 ? errorName()
                              : std::string(text.data(), static_cast<std::size_t>(count));
         }},
        {"rename",
         [this] {
             return answer(::renameat2(AT_FDCWD, path(1), AT_FDCWD, path(2),
                                       static_cast<unsigned>(flags(3, kRenameFlags))));
         }},
        {"mkfifo", [this] { return answer(::mkfifo(path(1), mode(2))); }},
        {"mksocket", [this] { return makeSocket(); }},
        {"mknod",
         [this] {
             mode_t type = word(2) == "char" ? S_IFCHR : word(2) == "block" ? S_IFBLK : S_IFREG;
             dev_t device = has(4) ? makedev(static_cast<unsigned>(number(4)),
                                             static_cast<unsigned>(number(5)))
                                   : 0;
             return answer(::mknod(path(1), type | mode(3), device));
         }},
        {"ls", [this] { return list(); }},

        {"stat", [this] { return stat(true); }},
        {"lstat", [this] { return stat(false); }},
        {"same",
         [this] {
             struct stat a {
             }, b{};
             if (::lstat(path(1), &a) < 0 || ::lstat(path(2), &b) < 0) return errorName();
             return std::string(a.st_ino == b.st_ino && a.st_dev == b.st_dev ? "same"
                                                                             : "different");
         }},
        {"chmod", [this] { return answer(::chmod(path(1), mode(2))); }},
        {"chown",
         [this] {
             return answer(
                 ::chown(path(1), static_cast<uid_t>(number(2)), static_cast<gid_t>(number(3))));
         }},
        {"lchown",
         [this] {
             return answer(
                 ::lchown(path(1), static_cast<uid_t>(number(2)), static_cast<gid_t>(number(3))));
         }},
        {"utime", [this] { return utime(0); }},
        {"lutime", [this] { return utime(AT_SYMLINK_NOFOLLOW); }},
        {"keep", [this] { return answer(::lstat(path(1), &m_kept[word(1)])); }},
        {"since", [this] { return since(); }},
        {"access",
         [this] {
             int wanted = F_OK;
             for (char c : word(2)) wanted |= c == 'r' ? R_OK : c == 'w' ? W_OK : X_OK;
             return answer(::faccessat(AT_FDCWD, path(1), wanted, AT_EACCESS));
         }},
        {"truncate", [this] { return answer(::truncate(path(1), number(2))); }},
        {"namemax",
         [this] {
             struct statvfs facts {};
             return ::statvfs(path(1), &facts) < 0 ? errorName() : std::to_string(facts.f_namemax);
         }},

        {"put", [this] { return put(O_TRUNC); }},
        {"add", [this] { return put(O_APPEND); }},
        {"cat", [this] { return cat(); }},
        {"exec", [this] { return execute(); }},

        {"open", [this] { return open(); }},
        {"close", [this] { return answer(::close(file(1))); }},
        {"write", [this] { return value(::write(file(1), path(2), word(2).size())); }},
        {"pwrite", [this] { return value(::pwrite(file(1), path(3), word(3).size(), number(2))); }},
        {"read", [this] { return read(file(1), static_cast<std::size_t>(number(2)), -1); }},
        {"pread", [this] { return read(file(1), static_cast<std::size_t>(number(3)), number(2)); }},
        {"seek", [this] { return value(::lseek(file(1), number(2), kWhence.at(word(3)))); }},
        {"ftruncate", [this] { return answer(::ftruncate(file(1), number(2))); }},
        {"fchmod", [this] { return answer(::fchmod(file(1), mode(2))); }},
        {"fchown",
         [this] {
             return answer(
                 ::fchown(file(1), static_cast<uid_t>(number(2)), static_cast<gid_t>(number(3))));
         }},
        {"fstat",
         [this] {
             struct stat facts {};
             return ::fstat(file(1), &facts) < 0 ? errorName() : fields(facts);
         }},
        {"fsync", [this] { return answer(::fsync(file(1))); }},
        {"fdatasync", [this] { return answer(::fdatasync(file(1))); }},
        {"allocate",
         [this] {
             return answer(::fallocate(file(1), flags(4, kAllocateFlags), number(2), number(3)));
         }},
        {"copy",
         [this] {
             return value(::copy_file_range(file(1), nullptr, file(2), nullptr,
                                            static_cast<std::size_t>(number(3)), 0));
         }},
        {"sendfile",
         [this] {
             return value(
                 ::sendfile(file(2), file(1), nullptr, static_cast<std::size_t>(number(3))));
         }},
        {"flock", [this] { return answer(::flock(file(1), kLocks.at(word(2)))); }},
        {"lock", [this] { return recordLock(); }},
        {"dup", [this] { return answer(file(2) = ::dup(file(1))); }},

        {"setattr",
         [this] {
             return answer(
                 ::lsetxattr(path(1), path(2), path(3), word(3).size(), flags(4, kAttributeFlags)));
         }},
        {"getattr", [this] { return attribute(); }},
        {"listattr", [this] { return attributeNames(); }},
        {"delattr", [this] { return answer(::lremovexattr(path(1), path(2))); }},

        {"map", [this] { return map(); }},
        {"mapped",
         [this] { return std::string(m_map + number(1), static_cast<std::size_t>(number(2))); }},
        {"mapput",
         [this] {
             std::memcpy(m_map + number(1), path(2), word(2).size());
             return std::string("ok");
         }},
        {"msync", [this] { return answer(::msync(m_map, m_mapBytes, MS_SYNC)); }},

        {"elsewhere", [this] { return elsewhere(); }},
    };
}

std::string Script::run(std::string_view script)
{
    std::string all;
    while (!script.empty()) {
        std::string_view statement = script.substr(0, script.find(';'));
        script.remove_prefix(std::min(statement.size() + 1, script.size()));
        std::istringstream in{std::string(statement)};
        Words words;
        for (std::string word; in >> word;) {
            if (auto at = word.find('@'); at != word.npos) {
                std::size_t digits = 0;
                auto count = std::stoul(word.substr(at + 1), &digits);
                word.replace(at, digits + 1, std::string(count, 'n'));
            }
            words.push_back(std::move(word));
        }
        if (words.empty()) continue;
        all += (all.empty() ? "" : " ") + call(std::move(words));
    }
    return all;
}

std::string Script::call(Words words)
{
    m_words = std::move(words);
    auto found = m_calls.find(m_words.front());
    if (found == m_calls.end()) return "?" + m_words.front();
    try {
        return found->second();
    } catch (const std::exception&) {  // A word too few, or no number.
        return "?" + m_words.front();
    }
}

std::string Script::as()
{
    uid_t uid = static_cast<uid_t>(number(1));
    gid_t gid = static_cast<gid_t>(has(2) ? number(2) : number(1));
    std::vector<gid_t> groups;
    for (std::size_t i = 3; has(i); ++i) groups.push_back(static_cast<gid_t>(number(i)));
    bool changed = ::seteuid(0) == 0 && ::setgroups(groups.size(), groups.data()) == 0 &&
                   ::setegid(gid) == 0 && ::seteuid(uid) == 0;
    return changed ? "ok" : errorName();
}

std::string Script::stat(bool follow)
{
    struct stat facts {};
    if ((follow ? ::stat(path(1), &facts) : ::lstat(path(1), &facts)) < 0) return errorName();
    return fields(facts);
}

std::string Script::fields(const struct stat& facts) const
{
    std::string all;
    for (std::size_t i = 2; has(i); ++i) all += (i > 2 ? "," : "") + field(facts, word(i));
    return all;
}

std::string Script::open()
{
    bool hasMode = std::all_of(m_words.back().begin(), m_words.back().end(),
                               [](char c) { return c >= '0' && c <= '7'; });
    int fd =
        ::open(path(2), flags(3, kOpenFlags) | O_CLOEXEC, hasMode ? mode(m_words.size() - 1) : 0);
    if (fd >= 0) file(1) = fd;
    return answer(fd);
}

std::string Script::put(int flags)
{
    Descriptor fd(::open(path(1), O_WRONLY | O_CREAT | flags | O_CLOEXEC, 0644));
    if (!fd) return errorName();
    return answer(::write(fd.get(), path(2), word(2).size()));
}

std::string Script::cat()
{
    Descriptor fd(::open(path(1), O_RDONLY | O_CLOEXEC));
    if (!fd) return errorName();
    return read(fd.get(), 4096, -1);
}

// Zeros are shown as dots.
std::string Script::read(int fd, std::size_t count, long offset)
{
    std::string text(count, '\0');
    ssize_t got =
        offset < 0 ? ::read(fd, text.data(), count) : ::pread(fd, text.data(), count, offset);
    if (got < 0) return errorName();
    text.resize(static_cast<std::size_t>(got));
    std::replace(text.begin(), text.end(), '\0', '.');
    return fmt::format("'{}'", text);
}

std::string Script::list()
{
    DIR* directory = ::opendir(path(1));
    if (!directory) return errorName();
    std::set<std::string> names;
    while (const dirent* entry = ::readdir(directory)) names.insert(entry->d_name);
    ::closedir(directory);
    std::string all;
    for (const auto& name : names) all += (all.empty() ? "" : ",") + name;
    return all;
}

std::string Script::utime(int flags)
{
    std::array<timespec, 2> times{};
    for (std::size_t i = 0; i < 2; ++i) {
        const std::string& text = word(2 + i);
        if (text == "now")
            times[i].tv_nsec = UTIME_NOW;
        else if (text == "omit")
            times[i].tv_nsec = UTIME_OMIT;
        else
            times[i] = {std::stol(text), std::stol(text.substr(text.find('.') + 1))};
    }
    return answer(::utimensat(AT_FDCWD, path(1), times.data(), flags));
}

std::string Script::since()
{
    struct stat now {};
    if (::lstat(path(1), &now) < 0) return errorName();
    const struct stat& then = m_kept[word(1)];
    std::string newer;
    if (isNewer(now.st_mtim, then.st_mtim)) newer += "m";
    if (isNewer(now.st_ctim, then.st_ctim)) newer += "c";
    return newer.empty() ? "-" : newer;
}

std::string Script::attribute()
{
    std::string value(70000, '\0');
    std::size_t room = has(3) ? static_cast<std::size_t>(number(3)) : value.size();
    ssize_t count = ::lgetxattr(path(1), path(2), value.data(), room);
    if (count < 0) return errorName();
    if (room == 0) return std::to_string(count);
    value.resize(static_cast<std::size_t>(count));
    return value.size() > 100 ? std::to_string(count) : "'" + value + "'";
}

// Those of users: security modules add their own.
std::string Script::attributeNames()
{
    std::string names(70000, '\0');
    ssize_t count = ::llistxattr(path(1), names.data(), names.size());
    if (count < 0) return errorName();
    std::set<std::string> users;
    for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
        std::string name = names.data() + at;
        at += name.size() + 1;
        if (name.starts_with("user.")) users.insert(name);
    }
    std::string all;
    for (const auto& name : users) all += (all.empty() ? "" : ",") + name;
    return all.empty() ? "none" : all;
}

std::string Script::makeSocket()
{
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path(1), sizeof address.sun_path - 1);
    return answer(
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

// map LETTER BYTES shared|private rd|rdwr
std::string Script::map()
{
    m_mapBytes = static_cast<std::size_t>(number(2));
    int rights = word(4) == "rd" ? PROT_READ : PROT_READ | PROT_WRITE;
    void* at = ::mmap(nullptr, m_mapBytes, rights, word(3) == "shared" ? MAP_SHARED : MAP_PRIVATE,
                      file(1), 0);
    if (at == MAP_FAILED) return errorName();
    m_map = static_cast<char*>(at);
    return "ok";
}

// lock LETTER rd|wr|un START LENGTH
std::string Script::recordLock()
{
    struct flock lock {};
    lock.l_type = static_cast<short>(kRecordLocks.at(word(2)));
    lock.l_whence = SEEK_SET;
    lock.l_start = number(3);
    lock.l_len = number(4);
    return answer(::fcntl(file(1), F_SETLK, &lock));
}

std::string inAnotherProcess(const std::function<std::string()>& work)
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) < 0) return errorName();
    pid_t child = ::fork();
    if (child == 0) {
        std::string outcome = work();
        ssize_t ignored = ::write(ends[1], outcome.data(), outcome.size());
        ::_exit(ignored < 0);
    }
    ::close(ends[1]);
    std::string outcome;
    std::array<char, 4096> part{};
    for (ssize_t count = 0; (count = ::read(ends[0], part.data(), part.size())) > 0;)
        outcome.append(part.data(), static_cast<std::size_t>(count));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) outcome += fmt::format("SIG{}", ::sigabbrev_np(WTERMSIG(status)));
    return outcome;
}

std::string Script::execute()
{
    std::string outcome = inAnotherProcess([this] {
        std::array<char*, 2> words{const_cast<char*>(path(1)), nullptr};
        ::execv(path(1), words.data());
        return errorName();
    });
    return outcome.empty() ? "ran" : outcome;
}

// The files that are open here are opened there anew, as locks are an open file's.
std::string Script::elsewhere()
{
    Words words(m_words.begin() + 1, m_words.end());
    return inAnotherProcess([&] {
        for (auto& [letter, fd] : m_files)
            fd = ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_RDWR | O_CLOEXEC);
        return call(words);
    });
}

}  // namespace

std::string outcomeOf(const std::string& folder, std::string_view script)
{
    return inAnotherProcess([&] {
        ::umask(022);
        ::signal(SIGBUS, SIG_DFL);  // Some cases mean it; a sanitizer would report it.
        return ::chdir(folder.c_str()) < 0 ? "chdir: " + errorName() : Script().run(script);
    });
}

void answerScripts()
{
    ::umask(022);
    Script script;
    for (std::string line; std::getline(std::cin, line);)
        std::cout << script.run(line) << std::endl;
}

}  // namespace slipway::test
