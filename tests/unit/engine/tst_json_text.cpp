// JSON in place: what is valid, what is found, and that nothing else changes.
#include <QtTest>

#include "wsl-bridge/engine/json_text.h"

using namespace slipway;

class TestJsonText : public QObject {
    Q_OBJECT

private slots:
    void takesValidTexts_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text :
             {"{}", "[]", " {} ", "0", "-0.5e+10", "\"\"", "true", "null", "[[],{}]",
              "{\"a\":1,\"b\":[1,2,{\"c\":null}]}", "[\"\\u00e9\\\\\\\"\\/\"]",
              "{\"a\" : [ 1 , 2 ] }", "[ ]", "{ }", "[{},[],{}]"})
            QTest::newRow(text) << QString(text);
    }
    void takesValidTexts()
    {
        QFETCH(QString, text);
        QVERIFY(JsonText::scan(text.toStdString()).has_value());
    }

    void refusesInvalidTexts_data()
    {
        QTest::addColumn<QString>("text");
        for (const char* text : {"",         " ",          "{",        "}",
                                 "[",        "[1,]",       "[1",       "{\"a\"}",
                                 "{\"a\":}", "{\"a\":1,}", "{a:1}",    "[1 2]",
                                 "{} {}",    "\"",         "\"\\x\"",  "\"\\u12g4\"",
                                 "\"\t\"",   "01",         "1.",       ".5",
                                 "1e",       "-",          "+1",       "tru",
                                 "nul",      "[}",         "{]",       "{\"a\":1]",
                                 "[1}",      "{,}",        "[,1]",     "{\"a\":1 \"b\":2}",
                                 "{\"a\"",   "{\"a\":",    "{\"a\":1", "{\"a\":1,",
                                 "[[1]",     "{1:2}",      "'a'",      "nan",
                                 "[\"a\\",   "{\"\\"})
            QTest::newRow(text) << QString(text);
    }
    void refusesInvalidTexts()
    {
        QFETCH(QString, text);
        QVERIFY(!JsonText::scan(text.toStdString()).has_value());
    }

    void survivesEveryCut()
    {
        std::string text =
            "{\"HostConfig\":{\"Binds\":[\"/a:\\u00e9\\\"\",1.5e3,true],\"x\":null}}";
        for (std::size_t cut = 0; cut < text.size(); ++cut)
            QVERIFY(!JsonText::scan(std::string_view(text).substr(0, cut)).has_value());
    }

    void survivesDepth()
    {
        std::string open(10000, '[');
        std::string close(10000, ']');
        QVERIFY(JsonText::scan(open + close).has_value());
        QVERIFY(!JsonText::scan('[' + open + close + ']').has_value());
        QVERIFY(!JsonText::scan(std::string(1 << 20, '[')).has_value());
    }

    void findsAsGoDoes()
    {
        std::string text =
            "{\"a\":1,\"hostCONFIG\":{\"X\":\"first\",\"x\":\"last\"},\"HostConfig\":{}}";
        auto json = JsonText::scan(text);
        QCOMPARE(json->members(json->root(), "HostConfig").size(), std::size_t{2});
        auto hostConfig = json->members(json->root(), "HostConfig").front();
        QCOMPARE(json->string(*json->member(hostConfig, "X")), std::optional<std::string>("last"));
        QVERIFY(!json->member(json->root(), "missing"));
        QCOMPARE(json->reach(json->root(), {"HostConfig", "x"}).size(), std::size_t{2});
        QVERIFY(json->elements(json->root()).empty());
        QVERIFY(!json->string(json->root()));
    }

    void decodesStrings_data()
    {
        QTest::addColumn<QByteArray>("json");
        QTest::addColumn<QByteArray>("text");
        QTest::newRow("plain") << QByteArray("\"/a b\"") << QByteArray("/a b");
        QTest::newRow("escapes") << QByteArray("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")
                                 << QByteArray("\"\\/\b\f\n\r\t");
        QTest::newRow("unicode") << QByteArray("\"\\u0041\\u00e9\\u20ac\"")
                                 << QByteArray("A\xc3\xa9\xe2\x82\xac");
        QTest::newRow("pair") << QByteArray("\"\\ud83d\\ude00\"") << QByteArray("\xf0\x9f\x98\x80");
        QTest::newRow("lone half") << QByteArray("\"\\ud83dx\"") << QByteArray("\xef\xbf\xbdx");
        QTest::newRow("half and no half") << QByteArray("\"\\ud83d\\u0041\"")
                                          << QByteArray(
                                                 "\xef\xbf\xbd"
                                                 "A");
        QTest::newRow("half at the end") << QByteArray("\"\\ud83d\"") << QByteArray("\xef\xbf\xbd");
        QTest::newRow("raw") << QByteArray("\"\xc3\xa9\"") << QByteArray("\xc3\xa9");
        QTest::newRow("three bytes")
            << QByteArray("\"\xe2\x82\xac/\"") << QByteArray("\xe2\x82\xac/");
        QTest::newRow("no UTF-8") << QByteArray("\"a\xff/\xc3\"")
                                  << QByteArray("a\xef\xbf\xbd/\xef\xbf\xbd");
        QTest::newRow("overlong") << QByteArray("\"\xc0\xaf\"")
                                  << QByteArray("\xef\xbf\xbd\xef\xbf\xbd");
    }
    void decodesStrings()
    {
        QFETCH(QByteArray, json);
        QFETCH(QByteArray, text);
        std::string input = json.toStdString();
        auto scanned = JsonText::scan(input);
        QVERIFY(scanned.has_value());
        QCOMPARE(scanned->string(scanned->root()), std::optional<std::string>(text.toStdString()));
    }

    void writesStringsThatReadBack()
    {
        std::string text;
        for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
        std::string json = toJsonString(text);
        auto scanned = JsonText::scan(json);
        QVERIFY(scanned.has_value());
        QCOMPARE(scanned->string(scanned->root()), std::optional<std::string>(text));
    }

    void editsOnlyWhatItIsTold()
    {
        std::string text = "{ \"n\" : 1.50e+00 , \"s\":\"old\",\"z\":[\"a\" ,\t\"b\"]}\n";
        auto json = JsonText::scan(text);
        auto z = json->elements(*json->member(json->root(), "z"));
        std::string edited =
            withEdits(text, {{z[1], "\"B\""}, {*json->member(json->root(), "s"), "\"new\""}});
        QCOMPARE(edited,
                 std::string("{ \"n\" : 1.50e+00 , \"s\":\"new\",\"z\":[\"a\" ,\t\"B\"]}\n"));
    }
};

QTEST_APPLESS_MAIN(TestJsonText)
#include "tst_json_text.moc"
