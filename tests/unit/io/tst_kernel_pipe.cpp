// Bytes that go from file to socket to file without coming here.
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

using namespace slipway;

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
};

QTEST_APPLESS_MAIN(TestKernelPipe)
#include "tst_kernel_pipe.moc"
