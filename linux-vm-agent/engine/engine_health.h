// Whether dockerd answers, and what it says of itself.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "linux-vm-agent/engine/api_call.h"
#include "shared/io/loop.h"

namespace slipway {

// Asks /_ping: every 10 ms while dockerd starts, every 5 s once it is good.
class EngineHealth {
public:
    struct Facts {
        std::string version;
        std::string apiVersion;
        std::string storageDriver;
    };

    EngineHealth(Loop& loop, std::function<void()> changed);

    void watch();  // A dockerd begins; it is not good before it has answered.
    void rest();   // There is none.

    bool good() const { return m_good; }
    const Facts& facts() const { return m_facts; }
    const std::string& trouble() const { return m_trouble; }  // Why a good one is so no more.

private:
    void ask(const char* path, std::function<void(Result<std::string>)> answered);
    void ping();
    void pinged(const Result<std::string>& answer);
    void askVersion();
    void askDriver();
    std::chrono::milliseconds pause() const;

    Loop& m_loop;
    std::function<void()> m_changed;
    Timer m_timer;
    std::unique_ptr<ApiCall> m_call;
    std::chrono::steady_clock::time_point m_begin;
    bool m_good = false;
    Facts m_facts;
    std::string m_trouble;
};

}  // namespace slipway
