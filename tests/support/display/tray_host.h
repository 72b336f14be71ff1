// The desktop's side of a tray: the real D-Bus service that tray icons register with, and what a
// panel would do with the icon. (freedesktop.org StatusNotifierItem; com.canonical.dbusmenu.)
#pragma once

#include <optional>

#include <QDBusConnection>
#include <QDBusVirtualObject>
#include <QStringList>
#include <QVariant>

namespace slipway::test {

// org.kde.StatusNotifierWatcher on the session bus. A QDBusVirtualObject, as its properties must
// stand in the introspection XML: Qt's tray reads them through it.
class TrayHost final : public QDBusVirtualObject {
    Q_OBJECT

public:
    TrayHost();
    ~TrayHost() override;

    bool hasItem() const { return !m_items.isEmpty(); }

    QVariant property(const QString& name) const;  // Of the newest item: "Title", "Status" …
    QString toolTip() const;                       // Its title line.
    QByteArray icon() const;                       // The smallest pixmap's bytes.

    struct MenuEntry {
        int id = 0;
        QString label;  // Without the mark of a shortcut.
        bool enabled = true;
    };
    QList<MenuEntry> menu() const;  // Those that are shown.
    std::optional<MenuEntry> entry(const QString& labelStart) const;
    void click(const QString& labelStart) const;

    QString introspect(const QString& path) const override;
    bool handleMessage(const QDBusMessage& message, const QDBusConnection& connection) override;

private:
    QDBusMessage ask(const QString& path, const QString& interface, const QString& method,
                     const QVariantList& args) const;

    QDBusConnection m_bus;
    QStringList m_items;  // The bus names of items, the newest last.
};

}  // namespace slipway::test
