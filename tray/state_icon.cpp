#include "tray/state_icon.h"

#include <algorithm>
#include <cmath>

#include <QIconEngine>
#include <QPainter>
#include <QPainterPath>

namespace slipway {
namespace {

// Everything is drawn on a grid of 16 by 16.
constexpr qreal kGrid = 16;
constexpr int kCrates = 3;
static_assert(kStartingFrames == kCrates + 1);

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

// Draws on the grid, with level and upright edges moved to whole pixels: sharp at every size.
class Sketch {
public:
    Sketch(QPaintDevice& device, qreal sizePx, const QColor& color)
        : m_painter(&device), m_scale(sizePx / kGrid), m_color(color)
    {
        m_painter.setRenderHint(QPainter::Antialiasing);
    }

    void box(qreal left, qreal top, qreal width, qreal height)
    {
        // Its size is rounded and not its far edges, so that equal boxes stay equal.
        QSizeF size(std::round(width * m_scale), std::round(height * m_scale));
        m_painter.fillRect(QRectF(at(left, top), size), m_color);
    }

    void shape(const QPainterPath& path) { m_painter.fillPath(path, m_color); }

    void line(QPointF from, QPointF to, qreal width)
    {
        m_painter.setPen(QPen(m_color, width * m_scale, Qt::SolidLine, Qt::FlatCap));
        m_painter.drawLine(from * m_scale, to * m_scale);
    }

    QPointF at(qreal x, qreal y) const
    {
        return {std::round(x * m_scale), std::round(y * m_scale)};
    }
    qreal onePixelOrMore(qreal width) const { return std::max(1.0, std::round(width * m_scale)); }

private:
    QPainter m_painter;
    qreal m_scale;
    QColor m_color;
};

void drawHull(Sketch& sketch, bool hollow)
{
    QPointF stern = sketch.at(1, 9);
    QPointF bow = sketch.at(15, 9);
    QPointF keelAft = sketch.at(3, 14);
    QPointF keelFore = sketch.at(12, 14);
    QPainterPath hull;
    hull.addPolygon({{stern, bow, keelFore, keelAft}});
    hull.closeSubpath();
    if (hollow) {
        // As thick everywhere: a slanting side is wider, measured along the level.
        qreal plank = sketch.onePixelOrMore(1.25);
        auto inward = [plank](QPointF top, QPointF keel) {
            qreal run = (keel.x() - top.x()) / (keel.y() - top.y());
            qreal level = plank * std::hypot(1, run) * (run > 0 ? 1 : -1);
            return std::pair(QPointF(top.x() + run * plank + level, top.y() + plank),
                             QPointF(keel.x() - run * plank + level, keel.y() - plank));
        };
        auto [innerStern, innerAft] = inward(stern, keelAft);
        auto [innerBow, innerFore] = inward(bow, keelFore);
        QPainterPath inside;
        inside.addPolygon({{innerStern, innerBow, innerFore, innerAft}});
        inside.closeSubpath();
        hull = hull.subtracted(inside);
    }
    sketch.shape(hull);
    sketch.box(2, 4, 2, 5);  // The deckhouse.
}

// The load, in the order in which it comes on board: two crates below, one on top.
void drawLoad(Sketch& sketch, int crates)
{
    if (crates > 0) sketch.box(5, 5, 3, 3);
    if (crates > 1) sketch.box(9, 5, 3, 3);
    if (crates > 2) sketch.box(9, 1, 3, 3);
}

void drawCross(Sketch& sketch)
{
    sketch.line({6, 1}, {12, 7}, 2);
    sketch.line({12, 1}, {6, 7}, 2);
}

// An exclamation mark in place of the load: it sails, with a remark.
void drawRemark(Sketch& sketch)
{
    sketch.box(8, 0, 2, 5);
    sketch.box(8, 6, 2, 2);
}

// Draws at the very size that a panel asks for: a picture that is scaled is not sharp.
class StateIconEngine final : public QIconEngine {
public:
    StateIconEngine(Look look, int frame) : m_look(look), m_frame(frame) {}

    void paint(QPainter* painter, const QRect& rect, QIcon::Mode, QIcon::State) override
    {
        qreal ratio = painter->device()->devicePixelRatio();
        QImage image = at(rect.size() * ratio);
        image.setDevicePixelRatio(ratio);
        painter->drawImage(rect.topLeft(), image);
    }

    QPixmap pixmap(const QSize& size, QIcon::Mode, QIcon::State) override
    {
        return QPixmap::fromImage(at(size));
    }

    // What is sent to a panel that can't ask.
    QList<QSize> availableSizes(QIcon::Mode, QIcon::State) override
    {
        return {{16, 16}, {22, 22}, {24, 24}, {32, 32}, {48, 48}, {64, 64}};
    }

    QIconEngine* clone() const override { return new StateIconEngine(m_look, m_frame); }

private:
    QImage at(const QSize& size) const
    {
        return stateImage(m_look, std::min(size.width(), size.height()), m_frame);
    }

    Look m_look;
    int m_frame;
};

}  // namespace

QImage stateImage(Look look, int sizePx, int frame)
{
    QImage image(sizePx, sizePx, QImage::Format_ARGB32_Premultiplied);
    image.fill(Qt::transparent);
    Sketch sketch(image, sizePx, colorOf(look));
    drawHull(sketch, look == Look::Stopped);
    if (look == Look::Running) drawLoad(sketch, kCrates);
    if (look == Look::Starting) drawLoad(sketch, frame % kStartingFrames);
    if (look == Look::Trouble) drawCross(sketch);
    if (look == Look::Degraded) drawRemark(sketch);
    return image;
}

QIcon stateIcon(Look look, int frame)
{
    return QIcon(new StateIconEngine(look, frame));
}

}  // namespace slipway
