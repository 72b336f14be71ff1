#include "tests/support/display/tray_host.h"

#include <QDBusArgument>
#include <QDBusMessage>
#include <QDBusMetaType>
#include <QDBusVariant>

namespace slipway::test {
namespace {

constexpr const char* kService = "org.kde.StatusNotifierWatcher";
constexpr const char* kWatcherPath = "/StatusNotifierWatcher";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";
constexpr const char* kItem = "org.kde.StatusNotifierItem";
constexpr const char* kMenu = "com.canonical.dbusmenu";

QVariantMap watcherProperties(const QStringList& items)
{
    return {{"IsStatusNotifierHostRegistered", true},
            {"ProtocolVersion", 0},
            {"RegisteredStatusNotifierItems", items}};
}

// A node of GetLayout's answer, (ia{sv}av); its children are nodes in variants.
void collect(const QDBusArgument& node, QList<TrayHost::MenuEntry>& entries)
{
    TrayHost::MenuEntry entry;
    QVariantMap properties;
    QVariantList children;
    node.beginStructure();
    node >> entry.id >> properties >> children;
    node.endStructure();
    entry.label = properties.value("label").toString().remove('_');
    entry.enabled = properties.value("enabled", true).toBool();
    bool visible = properties.value("visible", true).toBool();
    if (visible && !entry.label.isEmpty()) entries << entry;
    for (const auto& child : children) collect(child.value<QDBusArgument>(), entries);
}

}  // namespace

TrayHost::TrayHost() : m_bus(QDBusConnection::sessionBus())
{
    m_bus.registerVirtualObject(kWatcherPath, this);
    m_bus.registerService(kService);
}

TrayHost::~TrayHost()
{
    m_bus.unregisterService(kService);
    m_bus.unregisterObject(kWatcherPath);
}

QString TrayHost::introspect(const QString&) const
{
    return R"(<interface name="org.kde.StatusNotifierWatcher">
        <method name="RegisterStatusNotifierItem"><arg type="s" direction="in"/></method>
        <method name="RegisterStatusNotifierHost"><arg type="s" direction="in"/></method>
        <property name="IsStatusNotifierHostRegistered" type="b" access="read"/>
        <property name="ProtocolVersion" type="i" access="read"/>
        <property name="RegisteredStatusNotifierItems" type="as" access="read"/>
        <signal name="StatusNotifierItemRegistered"><arg type="s"/></signal>
        <signal name="StatusNotifierHostRegistered"/>
        </interface>)";
}

bool TrayHost::handleMessage(const QDBusMessage& message, const QDBusConnection& connection)
{
    auto args = message.arguments();
    if (message.interface() == kProperties && message.member() == "Get" && args.size() == 2) {
        auto value = watcherProperties(m_items).value(args[1].toString());
        return connection.send(message.createReply(QVariant::fromValue(QDBusVariant(value))));
    }
    if (message.interface() == kProperties && message.member() == "GetAll")
        return connection.send(message.createReply(QVariant(watcherProperties(m_items))));
    if (message.member() == "RegisterStatusNotifierItem") {
        m_items << message.service();
        return connection.send(message.createReply());
    }
    return false;
}

QDBusMessage TrayHost::ask(const QString& path, const QString& interface, const QString& method,
                           const QVariantList& args) const
{
    if (m_items.isEmpty()) return {};
    auto call = QDBusMessage::createMethodCall(m_items.last(), path, interface, method);
    call.setArguments(args);
    return m_bus.call(call);
}

QVariant TrayHost::property(const QString& name) const
{
    auto answer = ask("/StatusNotifierItem", kProperties, "Get", {kItem, name});
    if (answer.type() != QDBusMessage::ReplyMessage) return {};
    return answer.arguments().value(0).value<QDBusVariant>().variant();
}

QString TrayHost::toolTip() const
{
    auto value = property("ToolTip");
    if (!value.canConvert<QDBusArgument>()) return {};
    // (sa(iiay)ss): icon name, pixmaps, title, text.
    const auto toolTip = value.value<QDBusArgument>();
    QString iconName;
    QString title;
    QString text;
    toolTip.beginStructure();
    toolTip >> iconName;
    toolTip.beginArray();
    while (!toolTip.atEnd()) {
        int width = 0;
        int height = 0;
        QByteArray pixels;
        toolTip.beginStructure();
        toolTip >> width >> height >> pixels;
        toolTip.endStructure();
    }
    toolTip.endArray();
    toolTip >> title >> text;
    toolTip.endStructure();
    return title;
}

QByteArray TrayHost::icon() const
{
    auto value = property("IconPixmap");
    if (!value.canConvert<QDBusArgument>()) return {};
    const auto pixmaps = value.value<QDBusArgument>();  // a(iiay)
    QByteArray smallest;
    pixmaps.beginArray();
    while (!pixmaps.atEnd()) {
        int width = 0;
        int height = 0;
        QByteArray pixels;
        pixmaps.beginStructure();
        pixmaps >> width >> height >> pixels;
        pixmaps.endStructure();
        if (smallest.isEmpty() || pixels.size() < smallest.size()) smallest = pixels;
    }
    pixmaps.endArray();
    return smallest;
}

QList<TrayHost::MenuEntry> TrayHost::menu() const
{
    auto answer = ask("/MenuBar", kMenu, "GetLayout", {0, -1, QStringList()});
    QList<MenuEntry> entries;
    if (answer.type() == QDBusMessage::ReplyMessage)
        collect(answer.arguments().value(1).value<QDBusArgument>(), entries);
    return entries;
}

std::optional<TrayHost::MenuEntry> TrayHost::entry(const QString& labelStart) const
{
    for (const auto& one : menu())
        if (one.label.startsWith(labelStart)) return one;
    return std::nullopt;
}

void TrayHost::click(const QString& labelStart) const
{
    auto clicked = entry(labelStart);
    Q_ASSERT_X(clicked, "click", qPrintable(labelStart));
    ask("/MenuBar", kMenu, "Event",
        {clicked->id, "clicked", QVariant::fromValue(QDBusVariant(0)), QVariant::fromValue(0u)});
}

}  // namespace slipway::test
