// Bytes that go from file to socket to file without coming here.
#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QtTest>

#include "shared/io/kernel_pipe.h"
#include "shared/io/pipe_pool.h"
#include "tests/support/descriptors_open.h"

using namespace slipway;
using slipway::test::descriptorsOpen;

namespace {

constexpr std::size_t kMega = 1 << 20;

Descriptor fileWith(const std::string& text)
{
    Descriptor file(::memfd_create("test", MFD_CLOEXEC));
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return {};
    return file;
}

std::string textOf(const Descriptor& file)
{
    std::string text(2 * kMega, '\0');
    text.resize(static_cast<std::size_t>(::pread(file.get(), text.data(), text.size(), 0)));
    return text;
}

std::string pattern(std::size_t size)
{
    std::string text;
    for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ' ';
    text.resize(size);
    return text;
}

std::string received(const Descriptor& socket)
{
    std::string text(kMega, '\0');
    ssize_t count = ::read(socket.get(), text.data(), text.size());
    text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
    return text;
}

std::span<const std::byte> bytesOf(std::string_view text)
{
    return std::as_bytes(std::span(text));
}

}  // namespace

class TestKernelPipe : public QObject {
    Q_OBJECT

private slots:
    void initTestCase() { std::signal(SIGPIPE, SIG_IGN); }

    void carriesAMegabyteFromFileToSocketToFile()
    {
        const std::string text = pattern(kMega);
        Descriptor from = fileWith(text);
        Descriptor to = fileWith("");
        int ends[2] = {-1, -1};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        Descriptor near(ends[0]), far(ends[1]);
        auto sender = KernelPipe::make(kMega);
        auto receiver = KernelPipe::make(kMega);
        QVERIFY(sender && receiver);
        QCOMPARE(sender->takeFrom(from.get(), 0, kMega), kMega);
        std::thread sending([&] { sender->giveTo(near.get()); });
        // As a message has it: a head before, and the pages of a file behind.
        QVERIFY(receiver->take(bytesOf("head")));
        QVERIFY(receiver->takeFrom(far.get(), kMega - 4 * 4096));
        sending.join();
        QCOMPARE(sender->size(), std::size_t{0});
        QCOMPARE(receiver->size(), 4 + kMega - 4 * 4096);
        QVERIFY(receiver->giveTo(to.get()));
        QCOMPARE(textOf(to), "head" + text.substr(0, kMega - 4 * 4096));
    }

    void endsWithTheFile()
    {
        auto pipe = KernelPipe::make(kMega);
        Descriptor from = fileWith(pattern(10000));
        QCOMPARE(pipe->takeFrom(from.get(), 8192, kMega), std::size_t{10000 - 8192});
        Descriptor to = fileWith("");
        QVERIFY(pipe->giveTo(to.get()));
        QCOMPARE(textOf(to), pattern(10000).substr(8192));
        QCOMPARE(pipe->takeFrom(from.get(), 20000, kMega), std::size_t{0});
    }

    void refusesWhatDoesNotFit()
    {
        auto pipe = KernelPipe::make(16 * 4096);
        Descriptor from = fileWith(pattern(kMega));
        QVERIFY(!pipe->takeFrom(from.get(), 0, kMega));
        QCOMPARE(pipe->size(), std::size_t{0});
        QCOMPARE(pipe->takeFrom(from.get(), 0, 4096), std::size_t{4096});  // And is empty again.
        QVERIFY(!KernelPipe::make(std::size_t{1} << 40));
    }

    void saysWhenTheOtherEndHasGone()
    {
        auto pipe = KernelPipe::make(kMega);
        int ends[2] = {-1, -1};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        Descriptor near(ends[0]);
        ::send(ends[1], "abc", 3, 0);
        ::close(ends[1]);
        QVERIFY(!pipe->takeFrom(near.get(), 10));
        pipe->clear();
        QVERIFY(pipe->take(bytesOf("x")));
        QVERIFY(!pipe->giveTo(near.get()));
        QCOMPARE(errno, EPIPE);
        QCOMPARE(pipe->size(), std::size_t{0});
    }

    void forgetsWhatIsCleared()
    {
        auto pipe = KernelPipe::make(kMega);
        QVERIFY(pipe->take(bytesOf(pattern(300000))));
        pipe->clear();
        QVERIFY(pipe->take(bytesOf("new")));
        Descriptor to = fileWith("");
        QVERIFY(pipe->giveTo(to.get()));
        QCOMPARE(textOf(to), std::string("new"));
    }

    void movesWhatThereIsNow()
    {
        int from[2], to[2];
        const int kind = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
        QCOMPARE(::socketpair(AF_UNIX, kind, 0, from), 0);
        QCOMPARE(::socketpair(AF_UNIX, kind, 0, to), 0);
        Descriptor sender(from[0]), in(from[1]), out(to[0]), receiver(to[1]);
        auto pipe = KernelPipe::make(kMega);
        QVERIFY(!pipe->takeNow(in.get()));
        QCOMPARE(errno, EAGAIN);
        const std::string text = pattern(64u << 10);
        std::string got;
        std::size_t sent = 0;
        while (pipe->size() == 0) {  // Until nothing fits any more.
            QCOMPARE(::write(sender.get(), text.data(), text.size()), ssize_t(text.size()));
            QVERIFY(pipe->takeNow(in.get()).value_or(0) > 0);
            sent += text.size();
            QVERIFY(pipe->giveNow(out.get()));
        }
        std::array<std::byte, 100> few;
        std::size_t left = pipe->size();
        QCOMPARE(pipe->takeOut(few), few.size());
        QCOMPARE(pipe->size(), left - few.size());
        while (got.size() + left < sent) got += received(receiver);
        got.append(reinterpret_cast<const char*>(few.data()), few.size());
        QVERIFY(pipe->giveNow(out.get()));
        while (got.size() < sent) got += received(receiver);
        for (std::size_t at = 0; at < sent; at += text.size())
            QVERIFY(got.compare(at, text.size(), text) == 0);
        sender.reset();
        QCOMPARE(pipe->takeNow(in.get()), std::size_t{0});
        receiver.reset();
        QVERIFY(pipe->take(bytesOf("x")));
        QVERIFY(!pipe->giveNow(out.get()));
    }

    void lendsABoundedNumberAndKeepsFew()
    {
        int before = descriptorsOpen();
        std::vector<LentPipe> lent;
        while (LentPipe pipe = lendPipe()) lent.push_back(std::move(pipe));
        QVERIFY(!lent.empty() && lent.size() <= 32);
        lent.front()->take(bytesOf("x"));  // Not kept: it holds something.
        lent.clear();
        int kept = (descriptorsOpen() - before) / 2;
        QVERIFY(kept > 0 && kept <= 4);
        for (int i = 0; i < kept; ++i) lent.push_back(lendPipe());
        QCOMPARE(descriptorsOpen() - before, 2 * kept);
        for (const LentPipe& pipe : lent) QCOMPARE(pipe->size(), std::size_t{0});
    }
};

QTEST_APPLESS_MAIN(TestKernelPipe)
#include "tst_kernel_pipe.moc"
