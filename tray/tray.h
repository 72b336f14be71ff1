// The icon in the tray and its menu. It shows a TrayView and says what the user has chosen.
#pragma once

#include <QMenu>
#include <QObject>
#include <QSystemTrayIcon>
#include <QTimer>

#include "tray/tray_view.h"

namespace slipway {

class Tray final : public QObject {
    Q_OBJECT

public:
    Tray();

    void show();  // Once a tray is there; see QSystemTrayIcon::isSystemTrayAvailable().
    void display(const TrayView& view);
    void notifyProblem(const QString& text);

signals:
    void startChosen();
    void stopChosen();
    void restartChosen();
    void engineChosen(const QString& name);  // linux, windows
    void quitChosen();                       // The engine goes on.
    void stopAndQuitChosen();

private:
    void drawFrame();

    QSystemTrayIcon m_icon;
    QMenu m_menu;
    QAction* m_status;
    QAction* m_start;
    QAction* m_stop;
    QAction* m_restart;
    QAction* m_switch;  // Only where there are two engines.
    QAction* m_stopAndQuit;
    QAction* m_quit;
    QTimer m_animation;
    QString m_otherEngine;
    Look m_look = Look::Stopped;
    int m_frame = 0;
};

}  // namespace slipway
