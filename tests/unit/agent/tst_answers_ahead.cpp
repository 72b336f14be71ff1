// What the agent answers in the server's place.
#include <cstring>

#include <QtTest>

#include "linux-vm-agent/fuse_relay/answers_ahead.h"
#include "shared/fuse/fixed_answers.h"

using namespace slipway;
using namespace slipway::fuse;

namespace {

template <class... Parts>
std::vector<std::byte> messageOf(const Parts&... parts)
{
    std::vector<std::byte> message;
    auto add = [&](const auto& part) {
        auto bytes = std::as_bytes(std::span(&part, 1));
        message.insert(message.end(), bytes.begin(), bytes.end());
    };
    (add(parts), ...);
    auto length = static_cast<std::uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof length);
    return message;
}

OutHeader notice(Notify code)
{
    return {0, static_cast<std::int32_t>(code), 0};
}

std::vector<std::byte> ahead(std::uint64_t node, std::uint64_t size)
{
    AttrOut attributes{};
    attributes.attr.size = size;
    return messageOf(notice(Notify::Ahead), AheadBody{node, Opcode::Getattr, 0, 0}, attributes);
}

InHeader headerOf(Opcode opcode, std::uint64_t node, std::uint32_t gid = 0)
{
    InHeader header{};
    header.opcode = opcode;
    header.unique = 7;
    header.nodeid = node;
    header.gid = gid;
    return header;
}

std::vector<std::byte> entryAhead(std::uint64_t folder, std::string_view name, std::uint64_t node)
{
    EntryOut entry{};
    entry.nodeid = node;
    auto message =
        messageOf(notice(Notify::Ahead),
                  AheadBody{folder, Opcode::Lookup, static_cast<std::uint32_t>(name.size()), 0});
    auto add = [&](Bytes bytes) { message.insert(message.end(), bytes.begin(), bytes.end()); };
    add(std::as_bytes(std::span(name)));
    add(std::as_bytes(std::span(&entry, 1)));
    auto length = static_cast<std::uint32_t>(message.size());
    std::memcpy(message.data(), &length, sizeof length);
    return message;
}

// The node that a LOOKUP is answered; none: it goes to the server.
std::optional<std::uint64_t> lookedUp(AnswersAhead& answers, std::uint64_t folder,
                                      const std::string& name)
{
    InHeader header = headerOf(Opcode::Lookup, folder);
    auto answer =
        answers.answerTo({header, std::as_bytes(std::span(name.c_str(), name.size() + 1))});
    if (!answer) return std::nullopt;
    Body body(*answer);
    body.take<OutHeader>();
    return body.take<EntryOut>().nodeid;
}

// What the server is to forget, as pairs of a node and a count.
std::vector<std::pair<std::uint64_t, std::uint64_t>> forgetsOf(AnswersAhead& answers)
{
    std::vector<std::pair<std::uint64_t, std::uint64_t>> all;
    auto message = answers.takeForgets();
    if (message.empty()) return all;
    auto request = parseRequest(message);
    if (!request || request->header.opcode != Opcode::BatchForget) return {{0, 0}};
    Body body(request->body);
    auto in = body.take<BatchForgetIn>();
    for (std::uint32_t i = 0; i < in.count; ++i) {
        auto one = body.take<ForgetOne>();
        all.emplace_back(one.nodeid, one.nlookup);
    }
    return all;
}

std::vector<std::byte> nameInvalidated(std::uint64_t folder, std::string_view name)
{
    auto message =
        messageOf(notice(Notify::InvalEntry),
                  NotifyInvalEntry{folder, static_cast<std::uint32_t>(name.size()), kExpireOnly});
    auto bytes = std::as_bytes(std::span(name));
    message.insert(message.end(), bytes.begin(), bytes.end());
    message.push_back({});
    return message;
}

// The size that a GETATTR is answered; none: it goes to the server.
std::optional<std::uint64_t> asked(AnswersAhead& answers, std::uint64_t node, std::uint32_t gid = 0)
{
    InHeader header = headerOf(Opcode::Getattr, node, gid);
    auto answer = answers.answerTo({header, {}});
    if (!answer) return std::nullopt;
    Body body(*answer);
    auto out = body.take<OutHeader>();
    auto attributes = body.take<AttrOut>();
    if (!body.good() || out.len != answer->size() || out.unique != 7 || out.error != 0) return 0;
    return attributes.attr.size;
}

std::vector<std::byte> contentsAhead(std::uint64_t node, std::string_view contents)
{
    auto message = messageOf(notice(Notify::Ahead), AheadBody{node, Opcode::Read, 0, 0});
    auto bytes = std::as_bytes(std::span(contents));
    message.insert(message.end(), bytes.begin(), bytes.end());
    return message;
}

// The bytes that a READ is answered; none: it goes to the server.
std::optional<std::string> contentsAsked(AnswersAhead& answers, std::uint64_t node,
                                         std::uint64_t offset, std::uint32_t size)
{
    InHeader header = headerOf(Opcode::Read, node);
    ReadIn in{};
    in.offset = offset;
    in.size = size;
    auto answer = answers.answerTo({header, std::as_bytes(std::span(&in, 1))});
    if (!answer) return std::nullopt;
    Body body(*answer);
    auto out = body.take<OutHeader>();
    if (out.len != answer->size() || out.unique != 7 || out.error != 0) return "malformed";
    auto rest = body.rest();
    return std::string(reinterpret_cast<const char*>(rest.data()), rest.size());
}

std::vector<std::byte> listingAhead(std::uint64_t folder, const std::vector<std::string>& names)
{
    auto message = messageOf(notice(Notify::Ahead), AheadBody{folder, Opcode::Readdir, 0, 0});
    std::uint64_t cursor = 0;
    for (const auto& name : names) {
        Dirent dirent{1, ++cursor, static_cast<std::uint32_t>(name.size()), 8};
        auto head = std::as_bytes(std::span(&dirent, 1));
        message.insert(message.end(), head.begin(), head.end());
        auto text = std::as_bytes(std::span(name));
        message.insert(message.end(), text.begin(), text.end());
        message.resize(message.size() + padded(name.size()) - name.size());
    }
    return message;
}

// The names and nodes that a READDIRPLUS is answered; none: it goes to the server.
std::optional<std::vector<std::pair<std::string, std::uint64_t>>> listed(AnswersAhead& answers,
                                                                         std::uint64_t folder,
                                                                         std::uint64_t offset,
                                                                         std::uint32_t size)
{
    InHeader header = headerOf(Opcode::Readdirplus, folder);
    ReadIn in{};
    in.offset = offset;
    in.size = size;
    auto answer = answers.answerTo({header, std::as_bytes(std::span(&in, 1))});
    if (!answer) return std::nullopt;
    std::vector<std::pair<std::string, std::uint64_t>> all;
    Body body(*answer);
    if (body.take<OutHeader>().len != answer->size()) return all;
    while (body.left() > 0) {
        auto entry = body.take<EntryOut>();
        auto dirent = body.take<Dirent>();
        auto name = body.data(padded(dirent.namelen));
        all.emplace_back(std::string(reinterpret_cast<const char*>(name.data()), dirent.namelen),
                         entry.nodeid);
    }
    return all;
}

}  // namespace

class TestAnswersAhead : public QObject {
    Q_OBJECT

private slots:
    void answersWhatItWasToldLast()
    {
        AnswersAhead answers;
        QVERIFY(!asked(answers, 5));
        QVERIFY(answers.follow(ahead(5, 100)));
        QVERIFY(answers.follow(ahead(6, 1)));
        QCOMPARE(asked(answers, 5), 100u);
        QCOMPARE(asked(answers, 5), 100u);
        QVERIFY(answers.follow(ahead(5, 200)));
        QCOMPARE(asked(answers, 5), 200u);
    }

    void forgetsWhatIsTakenBack()
    {
        AnswersAhead answers;
        answers.follow(ahead(5, 100));
        QVERIFY(answers.follow(messageOf(notice(Notify::Ahead), AheadBody{5, Opcode{}, 0, 0})));
        QVERIFY(!asked(answers, 5));
    }

    void forgetsWhatIsInvalidated()
    {
        AnswersAhead answers;
        answers.follow(ahead(5, 100));
        answers.follow(ahead(6, 100));
        // The kernel is to have it too.
        QVERIFY(!answers.follow(messageOf(notice(Notify::InvalInode), NotifyInvalInode{5, -1, 0})));
        QVERIFY(!asked(answers, 5));
        QVERIFY(asked(answers, 6));
        answers.clear();
        QVERIFY(!asked(answers, 6));
    }

    void forgetsWithTheKernel()
    {
        AnswersAhead answers;
        for (std::uint64_t node : {5, 6, 7}) answers.follow(ahead(node, 100));
        InHeader one = headerOf(Opcode::Forget, 5);
        auto forgets = messageOf(ForgetIn{1});
        QVERIFY(!answers.answerTo({one, forgets}));
        InHeader some = headerOf(Opcode::BatchForget, 0);
        auto batch = messageOf(std::uint32_t{0}, std::uint32_t{0}, ForgetOne{6, 1});
        BatchForgetIn count{1, 0};
        std::memcpy(batch.data(), &count, sizeof count);
        QVERIFY(!answers.answerTo({some, batch}));
        QVERIFY(!asked(answers, 5));
        QVERIFY(!asked(answers, 6));
        QVERIFY(asked(answers, 7));
    }

    void leavesAnswersAndTheInjectorAlone()
    {
        AnswersAhead answers;
        answers.follow(ahead(5, 100));
        QVERIFY(!answers.follow(messageOf(OutHeader{0, 0, 3}, AttrOut{})));
        QVERIFY(!asked(answers, 5, kInjectorGid));
        InHeader write = headerOf(Opcode::Write, 5);
        QVERIFY(!answers.answerTo({write, {}}));
        QCOMPARE(asked(answers, 5), 100u);
    }

    void isNotMisledByShortMessages()
    {
        AnswersAhead answers;
        auto cut = ahead(5, 100);
        cut.resize(cut.size() - 8);
        QVERIFY(answers.follow(cut));
        QVERIFY(!asked(answers, 5));
        QVERIFY(answers.follow(messageOf(notice(Notify::Ahead))));
    }

    void answersAnEntryOnce()
    {
        AnswersAhead answers;
        QVERIFY(answers.follow(entryAhead(2, "a", 10)));
        QVERIFY(!lookedUp(answers, 2, "b"));
        QVERIFY(!lookedUp(answers, 3, "a"));
        QCOMPARE(lookedUp(answers, 2, "a"), 10u);
        QVERIFY(!lookedUp(answers, 2, "a"));
        QVERIFY(forgetsOf(answers).empty());  // The kernel has it now.
    }

    void forgetsEntriesThatNobodyAskedFor()
    {
        using Forgets = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
        AnswersAhead answers;
        answers.follow(entryAhead(2, "a", 10));
        QVERIFY(!answers.follow(nameInvalidated(2, "a")));
        QVERIFY(!lookedUp(answers, 2, "a"));
        QCOMPARE(forgetsOf(answers), (Forgets{{10, 1}}));

        answers.follow(entryAhead(2, "a", 10));
        answers.follow(messageOf(notice(Notify::InvalInode), NotifyInvalInode{10, -1, 0}));
        QCOMPARE(forgetsOf(answers), (Forgets{{10, 1}}));

        answers.follow(entryAhead(2, "a", 10));
        answers.follow(messageOf(notice(Notify::Ahead), AheadBody{10, Opcode{}, 0, 0}));
        QVERIFY(!lookedUp(answers, 2, "a"));
        QCOMPARE(forgetsOf(answers), (Forgets{{10, 1}}));

        answers.follow(entryAhead(2, "a", 10));
        answers.follow(entryAhead(2, "a", 11));
        QCOMPARE(forgetsOf(answers), (Forgets{{10, 1}}));
        QVERIFY(!answers.follow(messageOf(notice(Notify::IncEpoch))));
        QCOMPARE(forgetsOf(answers), (Forgets{{11, 1}}));

        answers.follow(entryAhead(2, "a", 10));
        answers.clear();
        QCOMPARE(forgetsOf(answers), (Forgets{{10, 1}}));
        QVERIFY(forgetsOf(answers).empty());
    }

    void keepsAnEntryWithTheAttributesToldLast()
    {
        AnswersAhead answers;
        answers.follow(entryAhead(2, "a", 10));
        answers.follow(ahead(10, 55));
        InHeader header = headerOf(Opcode::Lookup, 2);
        auto answer = answers.answerTo({header, std::as_bytes(std::span("a", 2))});
        QVERIFY(answer);
        Body body(*answer);
        body.take<OutHeader>();
        auto entry = body.take<EntryOut>();
        QCOMPARE(entry.nodeid, 10u);
        QCOMPARE(entry.attr.size, 55u);
    }

    void keepsAnEntryThatTheKernelForgetsByAnotherName()
    {
        AnswersAhead answers;
        answers.follow(ahead(10, 5));
        answers.follow(entryAhead(2, "a", 10));
        InHeader one = headerOf(Opcode::Forget, 10);
        auto forgets = messageOf(ForgetIn{1});
        answers.answerTo({one, forgets});
        QVERIFY(!asked(answers, 10));
        QCOMPARE(lookedUp(answers, 2, "a"), 10u);
    }

    void answersTheEndOfAListingOnce()
    {
        AnswersAhead answers;
        auto ends = messageOf(notice(Notify::Ahead), AheadBody{2, Opcode::Readdirplus, 0, 99});
        auto endsAt = [&](std::uint64_t offset) {
            InHeader header = headerOf(Opcode::Readdirplus, 2);
            ReadIn in{};
            in.offset = offset;
            auto answer = answers.answerTo({header, std::as_bytes(std::span(&in, 1))});
            return answer && answer->size() == sizeof(OutHeader);
        };
        QVERIFY(answers.follow(ends));
        QVERIFY(!endsAt(0));
        QVERIFY(endsAt(99));
        QVERIFY(!endsAt(99));
        answers.follow(ends);
        answers.follow(ahead(2, 5));  // A name was made in it.
        QVERIFY(!endsAt(99));
    }

    void answersAListingWithTheEntriesThatWereTold()
    {
        AnswersAhead answers;
        answers.follow(entryAhead(2, "a", 10));
        answers.follow(entryAhead(2, "c", 12));
        answers.follow(listingAhead(2, {"a", "b", "c"}));
        using Entries = std::vector<std::pair<std::string, std::uint64_t>>;
        QVERIFY(!listed(answers, 3, 0, 4096));
        QVERIFY(!listed(answers, 2, 77, 4096));
        QVERIFY(!listed(answers, 2, 0, 100));  // Not even one has room.
        QCOMPARE(listed(answers, 2, 0, 400), (Entries{{"a", 10}, {"b", 0}}));
        QCOMPARE(listed(answers, 2, 2, 400), (Entries{{"c", 12}}));
        QCOMPARE(listed(answers, 2, 3, 400), Entries{});  // The end.
        QVERIFY(!listed(answers, 2, 0, 4096));
        QVERIFY(!lookedUp(answers, 2, "a"));
        QVERIFY(forgetsOf(answers).empty());  // The kernel has them now.

        answers.follow(listingAhead(2, {"a"}));
        answers.follow(ahead(2, 5));  // A name was made in it.
        QVERIFY(!listed(answers, 2, 0, 4096));
        answers.follow(listingAhead(2, {"a"}));
        answers.follow(messageOf(notice(Notify::InvalInode), NotifyInvalInode{2, 0, 0}));
        QVERIFY(!listed(answers, 2, 0, 4096));
    }

    void answersContentsOnce()
    {
        AnswersAhead answers;
        answers.follow(ahead(5, 9));
        answers.follow(contentsAhead(5, "some text"));
        QVERIFY(!contentsAsked(answers, 6, 0, 4096));
        QCOMPARE(contentsAsked(answers, 5, 0, 4), std::string("some"));
        QCOMPARE(contentsAsked(answers, 5, 4, 4096), std::string(" text"));
        QVERIFY(!contentsAsked(answers, 5, 0, 4096));
        QCOMPARE(asked(answers, 5), 9u);
        answers.follow(contentsAhead(5, "some text"));
        QCOMPARE(contentsAsked(answers, 5, 100, 4096), std::string());
    }

    void forgetsContentsWithTheAttributes()
    {
        AnswersAhead answers;
        answers.follow(contentsAhead(5, "old"));
        answers.follow(ahead(5, 3));  // It was written.
        QVERIFY(!contentsAsked(answers, 5, 0, 4096));
        answers.follow(contentsAhead(5, "old"));
        answers.follow(messageOf(notice(Notify::InvalInode), NotifyInvalInode{5, 0, 0}));
        QVERIFY(!contentsAsked(answers, 5, 0, 4096));
        answers.follow(contentsAhead(5, "old"));
        InHeader forget = headerOf(Opcode::Forget, 5);
        auto once = messageOf(ForgetIn{1});
        answers.answerTo({forget, once});
        QVERIFY(!contentsAsked(answers, 5, 0, 4096));
        answers.follow(contentsAhead(5, "old"));
        answers.clear();
        QVERIFY(!contentsAsked(answers, 5, 0, 4096));
    }

    void keepsNoMoreContentsThanIsSensible()
    {
        AnswersAhead answers;
        const std::string much(32 * 1024, 'x');
        for (std::uint64_t node = 1; node <= 300; ++node) answers.follow(contentsAhead(node, much));
        QVERIFY(!contentsAsked(answers, 1, 0, 4096));  // Some 9 MB are too much.
        QVERIFY(contentsAsked(answers, 300, 0, 4096));
    }

    void knowsWhatIsAlwaysAnsweredAlike()
    {
        auto release = headerOf(Opcode::Release, 5);
        QCOMPARE(fixedAnswer({release, {}}), Errno{});
        auto ioctl = headerOf(Opcode::Ioctl, 5);
        QCOMPARE(fixedAnswer({ioctl, {}}), Errno::NotImplemented);
        auto attribute = headerOf(Opcode::Getxattr, 5);
        auto body = [](const char* name) {
            auto bytes = messageOf(GetxattrIn{});
            auto text = std::as_bytes(std::span(name, std::strlen(name) + 1));
            bytes.insert(bytes.end(), text.begin(), text.end());
            return bytes;
        };
        auto capability = body("security.capability");
        QCOMPARE(fixedAnswer({attribute, capability}), Errno::NoData);
        auto users = body("user.x");
        QVERIFY(!fixedAnswer({attribute, users}));
        auto read = headerOf(Opcode::Read, 5);
        QVERIFY(!fixedAnswer({read, {}}));
    }
};

QTEST_APPLESS_MAIN(TestAnswersAhead)
#include "tst_answers_ahead.moc"
