#include "tray/tray.h"

#include <chrono>

namespace slipway {
namespace {

constexpr std::chrono::milliseconds kFrameTime{350};

// An & in a menu text would mark a shortcut's letter.
QString literal(QString text)
{
    return text.replace('&', "&&");
}

}  // namespace

Tray::Tray()
{
    // Not disabled: grey on white is hard to read. A click says the same at length.
    m_status = m_menu.addAction("Stopped", this, [this] {
        m_icon.showMessage("Slipway", m_icon.toolTip(), QSystemTrayIcon::Information);
    });
    m_menu.addSeparator();
    m_start = m_menu.addAction("Start", this, &Tray::startChosen);
    m_stop = m_menu.addAction("Stop", this, &Tray::stopChosen);
    m_restart = m_menu.addAction("Restart", this, &Tray::restartChosen);
    m_switch = m_menu.addAction("", this, [this] { emit engineChosen(m_otherEngine); });
    m_menu.addSeparator();
    m_stopAndQuit = m_menu.addAction("Stop engine and quit", this, &Tray::stopAndQuitChosen);
    m_quit = m_menu.addAction("Quit Slipway", this, &Tray::quitChosen);
    m_icon.setContextMenu(&m_menu);

    m_animation.setInterval(kFrameTime);
    connect(&m_animation, &QTimer::timeout, this, [this] {
        ++m_frame;
        drawFrame();
    });
    display(trayView(Absence::NotYetHeard));
}

void Tray::show()
{
    m_icon.show();
}

void Tray::display(const TrayView& view)
{
    m_status->setText(literal(view.status));
    m_start->setEnabled(view.canStart);
    m_stop->setEnabled(view.canStop);
    m_restart->setEnabled(view.canRestart);
    m_otherEngine = view.otherEngine;
    m_switch->setVisible(!m_otherEngine.isEmpty());
    m_switch->setText(m_otherEngine == "windows" ? "Switch to Windows containers"
                                                 : "Switch to Linux containers");
    m_stopAndQuit->setEnabled(view.canStop);
    m_quit->setText(view.canStop ? "Quit Slipway (the engine goes on)" : "Quit Slipway");
    m_icon.setToolTip(view.toolTip);
    if (view.look == m_look && !m_icon.icon().isNull()) return;
    m_look = view.look;
    m_frame = 0;
    m_status->setIcon(stateIcon(m_look, kStartingFrames - 1));
    drawFrame();
    if (m_look == Look::Starting)
        m_animation.start();
    else
        m_animation.stop();
}

void Tray::notifyProblem(const QString& text)
{
    m_icon.showMessage("Slipway", text, QSystemTrayIcon::Warning);
}

void Tray::drawFrame()
{
    m_icon.setIcon(stateIcon(m_look, m_frame));
}

}  // namespace slipway
