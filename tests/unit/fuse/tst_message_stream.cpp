// Large messages, whose contents go through a pipe.
#include <array>
#include <string>
#include <thread>

#include <sys/socket.h>

#include <QtTest>

#include "shared/fuse/message_stream.h"

using namespace slipway;
using namespace slipway::fuse;

namespace {

using Message = std::vector<std::byte>;

Message messageOf(std::size_t size, std::uint64_t unique)
{
    Message message(size);
    for (std::size_t i = 0; i < size; ++i) message[i] = static_cast<std::byte>(i * 7 + i / 4096);
    OutHeader header{static_cast<std::uint32_t>(size), 0, unique};
    std::memcpy(message.data(), &header, sizeof header);
    return message;
}

}  // namespace

class TestMessageStream : public QObject {
    Q_OBJECT

private slots:
    void passesLargeMessagesThroughAPipe_data()
    {
        QTest::addColumn<int>("pages");
        QTest::newRow("with room for it") << 256;
        QTest::newRow("with less room than it needs") << 16;
        QTest::newRow("with hardly any room") << 1;
    }

    void passesLargeMessagesThroughAPipe()
    {
        QFETCH(int, pages);
        std::array<int, 2> ends{};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        MessageStream near{Descriptor(ends[0])};
        MessageStream far{Descriptor(ends[1])};
        const std::array messages{messageOf(100, 1), messageOf(1'000'000, 2), messageOf(200, 3)};
        std::thread sending([&] {
            for (const auto& message : messages) near.write(message);
        });
        auto pipe = KernelPipe::make(static_cast<std::size_t>(pages) * 4096);
        QVERIFY(pipe);
        Message message;
        for (const auto& wanted : messages) {
            QVERIFY(far.readHead(message, 65536));
            if (wanted.size() > message.size()) {
                QCOMPARE(message.size(), sizeof(OutHeader));
                bool whole = far.readRest(*pipe);
                auto rest = pipe->drain();
                message.insert(message.end(), rest.begin(), rest.end());
                if (!whole) QVERIFY(far.readRest(message));
            }
            QVERIFY(message == wanted);
        }
        sending.join();
    }
};

QTEST_APPLESS_MAIN(TestMessageStream)
#include "tst_message_stream.moc"
