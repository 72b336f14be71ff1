// A whole Slipway in a home of its own, driven as a user drives it: by its command line and
// docker's.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <QTemporaryDir>

#include "shared/core/error.h"
#include "shared/paths/home.h"
#include "shared/process/child.h"
#include "tests/support/left_overs.h"
#include "tests/support/test_user.h"

namespace slipway::test {

// Why a whole Slipway can't be run here, with the remedy; empty: it can. It takes root, the
// programs (SLIPWAY_BIN), the root file system (SLIPWAY_ROOTFS), docker's command line
// (SLIPWAY_CLI), and of the facts of `slipway-sandbox check` namespaces and cgroups and those
// given.
std::string whyNoSlipway(const std::vector<std::string>& facts = {});

// The same of a rootless one of that user's.
std::string whyNoSlipwayOf(const TestUser& user);

// Whether `slipway` is called by sudo: as root, and for the user. The test has sudo's variables
// set.
enum class Sudo { No, Yes };

class SlipwayFixture {
public:
    // `settings` is settings.json's text; empty: none. With a user, every command is run as that
    // user; with sudo too, slipway alone is not, and the home is the user's default one.
    explicit SlipwayFixture(const std::string& settings = {}, const TestUser* user = nullptr,
                            Sudo sudo = Sudo::No);
    ~SlipwayFixture();  // Stops it and removes the home.

    using Words = std::vector<std::string>;
    Output slipway(const Words& args, std::chrono::seconds limit = std::chrono::seconds(120));
    Output docker(const Words& args, std::chrono::seconds limit = std::chrono::seconds(120));
    Output shell(const std::string& script, std::chrono::seconds limit = std::chrono::seconds(120));

    bool start();      // `slipway start`; prints what it said if it failed.
    bool makeImage();  // Loads the image "box": busybox with all its applets.
    // Both, by these settings: it is stopped only if others were in force, and keeps its image.
    bool startWith(const std::string& settings);
    bool status(int exitCode);

    const Home& home() const { return m_home; }
    std::filesystem::path workDir() const { return m_work; }  // For files that containers see.
    std::string endpoint() const;
    pid_t bridgePid() const;                            // 0: none.
    pid_t machinePid() const;                           // Of slipway-init; 0: none.
    pid_t pidInMachine(const std::string& comm) const;  // As the host counts; 0: none.
    bool ping();
    void tellLogs() const;  // The ends of its logs, to stderr: for a test that failed.
    std::map<std::string, std::string> environment() const;

private:
    // Runs in the fixture's folder and environment, as its user.
    Output perform(std::string program, Words args, std::chrono::seconds limit);
    Command commandFor(std::string program, Words args) const;

    void write(const std::string& settings);

    QTemporaryDir m_dir;
    const TestUser* m_user;
    Sudo m_sudo;
    std::filesystem::path m_work;
    Home m_home;
    std::string m_settings;
};

// A suite that runs once by each way of sharing files has these rows, and the settings of the row.
void addWaysOfSharing();
std::string settingsOfTheWay();

// True once `condition` holds, looked at every 10 ms; false after `limit`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(10));

bool has(const std::string& text, const std::string& part);

// The body of a GET over loopback TCP; an error if nobody answers.
Result<std::string> httpGet(const std::string& address, int port, const std::string& path = "/");

}  // namespace slipway::test

// That a command ended well; else what it said.
#define EXIT_0(output)                                                        \
    do {                                                                      \
        const Output& output_ = (output);                                     \
        QVERIFY2(output_.exitCode == 0, (output_.out + output_.err).c_str()); \
    } while (false)
