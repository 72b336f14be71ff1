#include "tray/state_icon.h"

#include <array>

#include <QPainter>
#include <QPainterPath>

namespace slipway {
namespace {

// Everything is drawn on a grid of 16 by 16, on whole units where 16 px are to look sharp.
constexpr qreal kGrid = 16;

// Bright enough for a dark panel, dark enough for a light one (at least 3:1 against both).
QColor colorOf(Look look)
{
    switch (look) {
        case Look::Stopped:
            return {0x84, 0x8c, 0x96};
        case Look::Starting:
        case Look::Running:
            return {0x1b, 0x8f, 0xd0};
        case Look::Degraded:
            return {0xd0, 0x82, 0x10};
        case Look::Trouble:
            return {0xe0, 0x44, 0x3e};
    }
    return {};
}

QPainterPath hull()
{
    QPainterPath path;
    path.moveTo(1, 9);
    path.lineTo(15, 9);
    path.lineTo(13, 14);
    path.lineTo(4, 14);
    path.closeSubpath();
    return path;
}

// The load, in the order in which it comes on board: two crates below, one on top.
constexpr std::array kCrates{QRectF(4, 5, 3, 3), QRectF(8, 5, 3, 3), QRectF(8, 1, 3, 3)};

void drawLoad(QPainter& painter, int crates, const QColor& color)
{
    for (int i = 0; i < crates; ++i) painter.fillRect(kCrates[static_cast<std::size_t>(i)], color);
}

void drawStopped(QPainter& painter, const QColor& color)
{
    // Inside the filled hull's edge, so that both have one size.
    painter.setPen(QPen(color, 1.5, Qt::SolidLine, Qt::FlatCap, Qt::MiterJoin));
    painter.setBrush(Qt::NoBrush);
    QPainterPath outline;
    outline.moveTo(2, 9.75);
    outline.lineTo(14, 9.75);
    outline.lineTo(12.5, 13.25);
    outline.lineTo(4.4, 13.25);
    outline.closeSubpath();
    painter.drawPath(outline);
}

void drawCross(QPainter& painter, const QColor& color)
{
    painter.setPen(QPen(color, 2, Qt::SolidLine, Qt::FlatCap));
    painter.drawLine(QPointF(5, 1), QPointF(11, 7));
    painter.drawLine(QPointF(11, 1), QPointF(5, 7));
}

// An exclamation mark in place of the load: it sails, with a remark.
void drawRemark(QPainter& painter, const QColor& color)
{
    painter.fillRect(QRectF(7, 0, 2, 5), color);
    painter.fillRect(QRectF(7, 6, 2, 2), color);
}

}  // namespace

QImage stateImage(Look look, int sizePx, int frame)
{
    QImage image(sizePx, sizePx, QImage::Format_ARGB32_Premultiplied);
    image.fill(Qt::transparent);
    QPainter painter(&image);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.scale(sizePx / kGrid, sizePx / kGrid);
    QColor color = colorOf(look);
    if (look == Look::Stopped) {
        drawStopped(painter, color);
        return image;
    }
    painter.fillPath(hull(), color);
    if (look == Look::Running) drawLoad(painter, static_cast<int>(kCrates.size()), color);
    if (look == Look::Starting) drawLoad(painter, frame % kStartingFrames, color);
    if (look == Look::Trouble) drawCross(painter, color);
    if (look == Look::Degraded) drawRemark(painter, color);
    return image;
}

QIcon stateIcon(Look look, int frame)
{
    QIcon icon;
    for (int size : {16, 22, 24, 32, 48, 64})
        icon.addPixmap(QPixmap::fromImage(stateImage(look, size, frame)));
    return icon;
}

}  // namespace slipway
