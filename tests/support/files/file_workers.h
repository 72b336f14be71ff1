// What containers do with files at the same time: every answer is checked, and a worker stops at
// the first that is wrong.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace slipway::test {

// A line each for everything below a folder: path, bytes and a checksum, a folder's with a slash.
std::string inventoryOf(const std::string& folder);

class FileWorkers {
public:
    explicit FileWorkers(std::string folder);  // It is empty, and theirs alone.
    ~FileWorkers() { stop(); }

    std::string stop();  // The first thing that went wrong; empty: nothing.
    bool failed() const { return m_stop; }
    int steps() const { return m_steps; }
    // What the folder's inventory must be, once they have stopped.
    std::string inventory() const;

private:
    bool goesOn() const { return !m_stop; }
    void step(const std::string& what, bool done);
    void leave(const std::string& name, std::string text);

    void append();
    void writeBlocks();
    void moveNames();
    void replace();
    void makeAndRead();
    void list();
    void holdUnlinked();
    void holdOneUnlinked();

    const std::string m_folder;
    std::atomic<bool> m_stop = false;
    std::atomic<int> m_steps = 0;
    std::mutex m_mutex;
    std::string m_trouble;
    std::map<std::string, std::string> m_left;  // Texts by path, an empty folder's by its slash.
    std::vector<std::thread> m_threads;
};

}  // namespace slipway::test
