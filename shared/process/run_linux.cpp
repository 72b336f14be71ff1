#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "shared/process/child.h"

namespace slipway {
namespace {

// One of the tool's two outputs: a pipe that is read whenever it holds something.
class Capture {
public:
    Capture(std::string& into, OutLine onLine) : m_into(into), m_onLine(std::move(onLine)) {}

    // The end that the tool writes to; close it once the tool has it.
    Result<Descriptor> open(Loop& loop)
    {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) < 0) return failErrno("pipe", errno);
        m_pipe = Descriptor(ends[0]);
        Descriptor writeEnd(ends[1]);
        ::fcntl(m_pipe.get(), F_SETFL, O_NONBLOCK);
        m_poll.reset(new uv_poll_t{});
        CHECK(uv_poll_init(loop.uv(), m_poll.get(), m_pipe.get()) == 0);
        m_poll->data = this;
        uv_poll_start(m_poll.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
            if (handle->data) static_cast<Capture*>(handle->data)->drain();
        });
        return writeEnd;
    }

    // Takes what is there. A grandchild may hold the pipe open for ever: its end is not waited for.
    void drain()
    {
        char buffer[16384];
        for (;;) {
            auto count = ::read(m_pipe.get(), buffer, sizeof buffer);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) return;
            if (count <= 0) {
                uv_poll_stop(m_poll.get());
                return;
            }
            take({buffer, static_cast<std::size_t>(count)});
        }
    }

private:
    void take(std::string_view text)
    {
        m_into.append(text.substr(0, kMaxOutputBytes - m_into.size()));
        if (!m_onLine) return;
        m_line += text;
        std::size_t end = 0;
        while ((end = m_line.find('\n')) != std::string::npos) {
            m_onLine(m_line.substr(0, end));
            m_line.erase(0, end + 1);
        }
    }

    std::string& m_into;
    OutLine m_onLine;
    std::string m_line;
    Descriptor m_pipe;
    UvHandle<uv_poll_t> m_poll;
};

class RunningTool final : public Running {
public:
    RunningTool(Loop& loop, std::chrono::milliseconds timeout, RunDone done, OutLine onLine)
        : m_loop(loop),
          m_timeout(timeout),
          m_done(std::move(done)),
          m_out(m_output.out, std::move(onLine)),
          m_err(m_output.err, {}),
          m_limit(loop)
    {
    }

    ~RunningTool() override
    {
        if (!m_child || m_reaped) return;
        m_child->kill();
        m_child->wait();
    }

    void start(Command command)
    {
        m_text = textOf(command);
        if (auto started = tryStart(command); !started) {
            m_loop.post(m_alive.wrap([this, error = std::move(started).error()]() mutable {
                finish(tl::unexpected<Error>(std::move(error)));
            }));
        }
    }

private:
    Result<> tryStart(Command& command)
    {
        TRY(auto out, m_out.open(m_loop));
        TRY(auto err, m_err.open(m_loop));
        command.out = out.get();
        command.err = err.get();
        TRY(auto child, Child::start(command));
        m_child.emplace(std::move(child));
        m_child->onExit(m_loop, [this](int exitCode) { ended(exitCode); });
        m_limit.after(m_timeout, [this] {
            m_tookTooLong = true;
            m_child->kill();
        });
        return {};
    }

    void ended(int exitCode)
    {
        m_reaped = true;
        m_limit.stop();
        m_out.drain();
        m_err.drain();
        m_output.exitCode = exitCode;
        if (m_tookTooLong) {
            return finish(fail(
                Code::DeadlineExceeded,
                fmt::format("{}: killed, it took longer than {} ms", m_text, m_timeout.count())));
        }
        finish(std::move(m_output));
    }

    void finish(Result<Output> result)
    {
        auto done = std::move(m_done);
        done(std::move(result));
    }

    Loop& m_loop;
    std::chrono::milliseconds m_timeout;
    RunDone m_done;
    std::string m_text;
    Output m_output;
    Capture m_out;
    Capture m_err;
    Timer m_limit;
    std::optional<Child> m_child;
    bool m_tookTooLong = false;
    bool m_reaped = false;
    Alive m_alive;
};

std::string lastLines(std::string text)
{
    while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
    constexpr std::size_t kQuoted = 600;
    if (text.size() > kQuoted) text = "…" + text.substr(text.size() - kQuoted);
    return text;
}

}  // namespace

std::unique_ptr<Running> startRun(Loop& loop, const Command& command,
                                  std::chrono::milliseconds timeout, RunDone done, OutLine onLine)
{
    auto tool = std::make_unique<RunningTool>(loop, timeout, std::move(done), std::move(onLine));
    tool->start(command);
    return tool;
}

Result<Output> run(const Command& command, std::chrono::milliseconds timeout)
{
    Loop loop;
    std::optional<Result<Output>> result;
    auto tool = startRun(loop, command, timeout, [&](Result<Output> output) {
        result = std::move(output);
        loop.stop();
    });
    loop.run();
    return *std::move(result);
}

Result<std::string> outputOf(const Command& command, std::chrono::milliseconds timeout)
{
    TRY(auto output, run(command, timeout));
    if (output.exitCode == 0) return std::move(output.out);
    auto said = lastLines(output.err.empty() ? output.out : output.err);
    return fail(Code::FailedPrecondition,
                fmt::format("{}: exit code {}{}{}", textOf(command), output.exitCode,
                            said.empty() ? "" : ": ", said));
}

}  // namespace slipway
