// In which order the guest is told.
#include <array>
#include <cstring>

#include <sys/socket.h>

#include <QtTest>

#include "wsl-bridge/files/outbox.h"

using namespace slipway;

class TestOutbox : public QObject {
    Q_OBJECT

    static constexpr std::uint64_t kOfEverything = 7;
    std::unique_ptr<Outbox> m_outbox;
    std::unique_ptr<fuse::MessageStream> m_guest;

    // The inodes of all notes before the injection.
    std::vector<std::uint64_t> inodesBeforeInjection()
    {
        std::vector<std::uint64_t> inodes;
        std::vector<std::byte> message;
        while (m_guest->read(message)) {
            fuse::OutHeader header;
            std::memcpy(&header, message.data(), sizeof header);
            auto code = static_cast<fuse::Notify>(header.error);
            if (code == fuse::Notify::Inject) break;
            if (code != fuse::Notify::InvalInode) continue;
            fuse::NotifyInvalInode note;
            std::memcpy(&note, message.data() + sizeof header, sizeof note);
            inodes.push_back(note.ino);
        }
        return inodes;
    }

private slots:
    void init()
    {
        std::array<int, 2> ends{};
        QCOMPARE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        m_guest = std::make_unique<fuse::MessageStream>(Descriptor(ends[0]));
        m_outbox =
            std::make_unique<Outbox>([](Outbox& outbox) { outbox.inode(kOfEverything, true); });
        m_outbox->attach(std::make_shared<fuse::MessageStream>(Descriptor(ends[1])));
        m_outbox->injectorIs(1);
    }
    void cleanup()
    {
        m_guest->shutdown();
        m_outbox->stop();
    }

    void anInjectionFollowsTheNotesBeforeIt()
    {
        constexpr std::size_t kNotes = 500;
        for (std::size_t i = 0; i < kNotes; ++i) m_outbox->inode(100 + i, true);
        m_outbox->inject({});
        QVERIFY(inodesBeforeInjection().size() >= kNotes);
    }

    void anInjectionFollowsEverything()
    {
        m_outbox->everything();
        m_outbox->inject({});
        QCOMPARE(inodesBeforeInjection(), std::vector<std::uint64_t>{kOfEverything});
    }
};

QTEST_GUILESS_MAIN(TestOutbox)
#include "tst_outbox.moc"
