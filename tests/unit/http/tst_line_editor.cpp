// Lines of a body, edited in however many pieces they come.
#include <QtTest>

#include "shared/http/body.h"
#include "shared/http/line_editor.h"

using namespace slipway;
using namespace slipway::http;

class TestLineEditor : public QObject {
    Q_OBJECT

private slots:
    void editsLinesCutAnywhere()
    {
        std::string text = "one\r\ntwo\nlast";
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            LineEditor editor([](std::string_view line) { return "<" + std::string(line) + ">"; });
            std::string body = editor.take(std::string_view(text).substr(0, cut), false);
            body += editor.take(std::string_view(text).substr(cut), true);
            std::string content;
            BodyScanner scanner({Framing::Kind::Chunked});
            QCOMPARE(*scanner.scan(body, &content), body.size());
            QVERIFY(scanner.done());
            QCOMPARE(content, std::string("<one\r\n><two\n><last>"));
        }
    }

    // A chunk of no bytes would end the body.
    void framesNothingUntilALineIsWhole()
    {
        LineEditor editor([](std::string_view line) { return std::string(line); });
        QCOMPARE(editor.take("half a li", false), std::string());
        QCOMPARE(editor.take("ne\n", false), std::string("c\r\nhalf a line\n\r\n"));
        QCOMPARE(editor.take("", true), std::string("0\r\n\r\n"));
        LineEditor silent([](std::string_view) { return std::string(); });
        QCOMPARE(silent.take("gone\n", false), std::string());
    }

    void letsALineWithoutEndGoOn()
    {
        LineEditor editor([](std::string_view) { return std::string("edited"); });
        std::string much(3u << 20, 'x');
        std::string body = editor.take(much, false) + editor.take("y\n", true);
        std::string content;
        QVERIFY(BodyScanner({Framing::Kind::Chunked}).scan(body, &content).has_value());
        QCOMPARE(content, much + "edited");
    }
};

QTEST_APPLESS_MAIN(TestLineEditor)
#include "tst_line_editor.moc"
