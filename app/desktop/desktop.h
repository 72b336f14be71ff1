// The desktop program: the tray on one side, the bridge on the other. It keeps no state of its own.
#pragma once

#include <functional>
#include <thread>

#include <QElapsedTimer>
#include <QObject>
#include <QTimer>

#include "app/desktop/bridge_client.h"
#include "tray/tray.h"

namespace slipway {

// Exit code of the loop when a tray has come that only a new program would find: see late_tray.h.
inline constexpr int kBeginAnew = 64;

class Desktop final : public QObject {
    Q_OBJECT

public:
    explicit Desktop(const Home& home);
    ~Desktop() override;

private:
    using Action = void (BridgeClient::*)(BridgeClient::Done);

    void waitForTray();
    void refresh();
    void look();
    TrayView view() const;
    void act(const QString& what, Action action);  // Launches a bridge first where none answers.
    void launchBridgeThen(std::function<void()> next);
    void problem(const QString& text);

    Home m_home;
    BridgeClient m_client;
    Tray m_tray;
    QTimer m_trayWait;
    int m_trayLooks = 0;
    bool m_launching = false;
    QElapsedTimer m_heard;  // Since the bridge was last heard, or began to be asked.
    QTimer m_lookAgain;
    std::thread m_launcher;
};

}  // namespace slipway
