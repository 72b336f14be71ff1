#include "tests/support/files/file_workers.h"

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/io/descriptor.h"
#include "tests/support/files/file_calls.h"

namespace slipway::test {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 64;

// FNV-1a.
std::uint64_t checksumOf(const std::string& text)
{
    std::uint64_t sum = 0xcbf29ce484222325ULL;
    for (unsigned char byte : text) sum = (sum ^ byte) * 0x100000001b3ULL;
    return sum;
}

std::string inventoryOf(const std::map<std::string, std::string>& texts)
{
    std::string all;
    for (const auto& [name, text] : texts) {
        char facts[64];
        std::snprintf(facts, sizeof facts, " %zu %016llx\n", text.size(),
                      static_cast<unsigned long long>(checksumOf(text)));
        all += name.ends_with('/') ? name + "\n" : name + facts;
    }
    return all;
}

}  // namespace

std::string inventoryOf(const std::string& folder)
{
    std::map<std::string, std::string> texts;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
        std::string name = entry.path().lexically_relative(folder);
        if (entry.is_directory())
            texts[name + "/"];
        else
            texts[name] = textIn(entry.path()).value_or("can't be read");
    }
    return inventoryOf(texts);
}

FileWorkers::FileWorkers(std::string folder) : m_folder(std::move(folder))
{
    for (auto work : {&FileWorkers::append, &FileWorkers::writeBlocks, &FileWorkers::moveNames,
                      &FileWorkers::replace, &FileWorkers::makeAndRead, &FileWorkers::list,
                      &FileWorkers::holdUnlinked, &FileWorkers::holdOneUnlinked})
        m_threads.emplace_back([this, work] { (this->*work)(); });
}

std::string FileWorkers::stop()
{
    m_stop = true;
    for (auto& thread : m_threads)
        if (thread.joinable()) thread.join();
    return m_trouble;
}

std::string FileWorkers::inventory() const
{
    return inventoryOf(m_left);
}

void FileWorkers::step(const std::string& what, bool done)
{
    int error = errno;
    ++m_steps;
    if (done) return;
    std::lock_guard lock(m_mutex);
    if (m_trouble.empty()) m_trouble = what + ": " + std::strerror(error);
    m_stop = true;
}

void FileWorkers::leave(const std::string& name, std::string text)
{
    std::lock_guard lock(m_mutex);
    m_left[name] = std::move(text);
}

void FileWorkers::append()
{
    std::string all;
    Descriptor log(::open((m_folder + "/log").c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644));
    for (int i = 0; goesOn(); ++i) {
        std::string line = "line " + std::to_string(i) + "\n";
        all += line;
        step("append",
             ::write(log.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    }
    step("what was appended", textIn(m_folder + "/log") == all);
    leave("log", all);
}

void FileWorkers::writeBlocks()
{
    std::string all(kBlocks * kBlock, 'a');
    std::string name = m_folder + "/blocks";
    step("write whole", writeText(name, all));
    Descriptor file(::open(name.c_str(), O_RDWR));
    for (std::size_t i = 0; goesOn(); ++i) {
        std::string block(kBlock, static_cast<char>('a' + i % 26));
        auto offset = i * 7 % kBlocks * kBlock;
        all.replace(offset, kBlock, block);
        step("write a block",
             ::pwrite(file.get(), block.data(), kBlock, static_cast<off_t>(offset)) == kBlock);
        // What the kernel does not have is read from the host.
        if (i % 8 == 0)
            step("drop blocks", ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
        std::string back(kBlock, '\0');
        auto other = i * 5 % kBlocks * kBlock;
        step("read a block",
             ::pread(file.get(), back.data(), kBlock, static_cast<off_t>(other)) == kBlock &&
                 all.compare(other, kBlock, back) == 0);
    }
    step("what was written", textIn(name) == all);
    leave("blocks", all);
}

void FileWorkers::moveNames()
{
    std::string from = "here";
    std::string to = "there";
    auto path = [this](const std::string& name) { return m_folder + "/" + name; };
    step("make", writeText(path(from), "moved"));
    while (goesOn()) {
        step("rename", ::rename(path(from).c_str(), path(to).c_str()) == 0);
        step("not both", !statOf(path(from)) && statOf(path(to)));
        std::swap(from, to);
    }
    step("what was moved", textIn(path(from)) == "moved");
    leave(from, "moved");
}

// As editors save.
void FileWorkers::replace()
{
    std::string name = m_folder + "/saved";
    std::string text;
    step("save first", writeText(name, text));
    for (int i = 0; goesOn(); ++i) {
        text = std::string(static_cast<std::size_t>(i % 9000), 's') + std::to_string(i);
        step("save beside", writeText(name + ".new", text));
        step("replace", ::rename((name + ".new").c_str(), name.c_str()) == 0);
        step("read what was saved", textIn(name) == text);
    }
    leave("saved", text);
}

void FileWorkers::makeAndRead()
{
    for (int i = 0; goesOn(); ++i) {
        std::string folder = m_folder + "/made" + std::to_string(i);
        std::string text(static_cast<std::size_t>(i % 3000), 'm');
        step("mkdir", ::mkdir(folder.c_str(), 0755) == 0);
        step("create", writeText(folder + "/a", text));
        step("link", ::link((folder + "/a").c_str(), (folder + "/b").c_str()) == 0);
        step("read", textIn(folder + "/b") == text);
        step("links", statOf(folder + "/a") && statOf(folder + "/a")->st_nlink == 2);
        step("unlink", ::unlink((folder + "/a").c_str()) == 0);
        step("unlink", ::unlink((folder + "/b").c_str()) == 0);
        step("rmdir", ::rmdir(folder.c_str()) == 0);
    }
}

void FileWorkers::list()
{
    std::string folder = m_folder + "/listed";
    std::set<std::string> names;
    step("mkdir", ::mkdir(folder.c_str(), 0755) == 0);
    for (int i = 0; goesOn(); ++i) {
        std::string name = "n" + std::to_string(i % 30);
        bool made = names.insert(name).second;
        if (!made) names.erase(name);
        if (made)
            step("add to the list", writeText(folder + "/" + name, name));
        else
            step("take from the list", ::unlink((folder + "/" + name).c_str()) == 0);
        step("the list", namesIn(folder) == names);
    }
    leave("listed/", {});
    for (const auto& name : names) leave("listed/" + name, name);
}

void FileWorkers::holdUnlinked()
{
    std::string name = m_folder + "/unlinked";
    for (int round = 0; goesOn(); ++round) {
        Descriptor file(::open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
        step("create what is unlinked", static_cast<bool>(file));
        step("unlink while open", ::unlink(name.c_str()) == 0);
        for (int i = 0; i < 50 && goesOn(); ++i) {
            std::string text = std::to_string(round) + " " + std::to_string(i);
            auto size = static_cast<ssize_t>(text.size());
            std::string back(text.size(), '\0');
            step("write without a name",
                 ::pwrite(file.get(), text.data(), text.size(), i * 5000) == size);
            step("read without a name",
                 ::pread(file.get(), back.data(), back.size(), i * 5000) == size && back == text);
            struct stat facts {};
            step("stat without a name", ::fstat(file.get(), &facts) == 0 && facts.st_nlink == 0 &&
                                            facts.st_size == i * 5000 + size);
        }
    }
}

// From the first to the last; what was written before is read again later.
void FileWorkers::holdOneUnlinked()
{
    std::string name = m_folder + "/held";
    std::string all(kBlocks * kBlock, 'h');
    step("write what is held", writeText(name, all));
    Descriptor file(::open(name.c_str(), O_RDWR));
    step("unlink what is held", file && ::unlink(name.c_str()) == 0);
    for (std::size_t i = 0; goesOn(); ++i) {
        std::string block(kBlock, static_cast<char>('a' + i % 26));
        auto offset = i * 11 % kBlocks * kBlock;
        all.replace(offset, kBlock, block);
        step("write what is held",
             ::pwrite(file.get(), block.data(), kBlock, static_cast<off_t>(offset)) == kBlock);
        if (i % 16 != 0) continue;
        step("drop what is held", ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
        std::string back(all.size(), '\0');
        step("read what is held", ::pread(file.get(), back.data(), back.size(), 0) ==
                                          static_cast<ssize_t>(back.size()) &&
                                      back == all);
    }
}

}  // namespace slipway::test
