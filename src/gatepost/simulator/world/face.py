"""Paint a face: shapes, from back to front, with Pillow.

Rules:

- Points are given in half head widths and half head heights from the middle of the face, so that one set of shapes fits
  heads of every proportion. y points down.
- Everything is painted `SCALE` times as large as the result. Scaling down smooths the edges.

Flow: `paint` is the order in which shapes cover each other: back hair, body, neck, face, mask, hair, glasses.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from msgspec import Struct
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 400, 500
"""Size of a portrait in pixels."""

SCALE = 2
"""Factor by which it is painted larger."""

Rgb = tuple[int, int, int]
Point = tuple[float, float]

STYLES = ("short", "parted", "crew", "curly", "bob", "long", "bun", "ponytail", "bald", "scarf")


class FaceTraits(Struct, frozen=True):
    """The colours and shapes of one face. Proportions are 1.0 for the average."""

    skin: Rgb
    hair: Rgb
    style: str
    clothes: Rgb
    garment: str
    wall: Rgb
    face_width: float
    face_height: float
    jaw: float
    eyes: float
    brows: float
    mouth: float
    glasses: bool
    beard: str
    blush: bool


def _path(numbers: str) -> tuple[Point, ...]:
    """Return the points in "x y  x y …"."""
    values = [float(number) for number in numbers.split()]
    return tuple(zip(values[::2], values[1::2], strict=True))


SHAPES: dict[str, tuple[Point, ...]] = {
    "shoulders": _path(
        "-2.1 2.9  -2.02 2  -1.55 1.62  -0.62 1.38  0 1.45  0.62 1.38  1.55 1.62  2.02 2  2.1 2.9  0 3.1"
    ),
    "mask": _path(
        "-0.86 0.3  -0.45 0.2  0 0.13  0.45 0.2  0.86 0.3  0.82 0.66  0.46 0.98  0 1.07  -0.46 0.98  "
        "-0.82 0.66"
    ),
    "behind: long": _path(
        "-1.12 -0.4  -0.7 -1.08  0.7 -1.08  1.12 -0.4  1.26 0.8  1.34 1.9  0.7 2.05  -0.7 2.05  "
        "-1.34 1.9  -1.26 0.8"
    ),
    "behind: bob": _path(
        "-1.12 -0.4  -0.7 -1.1  0.7 -1.1  1.12 -0.4  1.26 0.5  1.12 0.96  0 1  -1.12 0.96  -1.26 0.5"
    ),
    "behind: ponytail": _path("0.5 -0.9  1.1 -0.8  1.42 0  1.4 1  1.15 1.5  1.1 0.6  0.9 -0.2"),
    "behind: scarf": _path(
        "-1.16 -0.3  -0.72 -1.14  0.72 -1.14  1.16 -0.3  1.18 0.8  1.5 1.7  0.6 1.98  -0.6 1.98  "
        "-1.5 1.7  -1.18 0.8"
    ),
    "hair: short": _path(
        "-1.05 -0.02  -1.08 -0.56  -0.62 -1.13  0.1 -1.2  0.72 -1.08  1.08 -0.5  1.05 -0.02  0.95 -0.26  "
        "0.78 -0.5  0.3 -0.6  -0.3 -0.54  -0.76 -0.46  -0.95 -0.26"
    ),
    "hair: parted": _path(
        "-1.05 0  -1.09 -0.56  -0.66 -1.12  0.1 -1.22  0.74 -1.08  1.08 -0.54  1.05 0  0.95 -0.28  "
        "0.7 -0.48  0.1 -0.56  -0.44 -0.82  -0.62 -0.62  -0.92 -0.36"
    ),
    "hair: crew": _path(
        "-1 -0.1  -1.02 -0.56  -0.64 -1.04  0 -1.1  0.64 -1.04  1.02 -0.56  1 -0.1  0.86 -0.4  "
        "0.64 -0.64  0 -0.72  -0.64 -0.64  -0.86 -0.4"
    ),
    "hair: curly": _path(
        "-1.02 -0.1  -1.04 -0.6  -0.6 -1.1  0 -1.16  0.6 -1.1  1.04 -0.6  1.02 -0.1  0.88 -0.42  "
        "0.6 -0.62  0.2 -0.56  -0.2 -0.64  -0.6 -0.56  -0.88 -0.42"
    ),
    "hair: bob": _path(
        "-1.14 0.62  -1.13 -0.4  -0.66 -1.12  0 -1.2  0.66 -1.12  1.13 -0.4  1.14 0.62  0.94 0.3  "
        "0.88 -0.3  0.4 -0.4  0 -0.37  -0.4 -0.4  -0.88 -0.3  -0.94 0.3"
    ),
    "hair: long": _path(
        "-1.16 0.9  -1.13 -0.4  -0.66 -1.12  0 -1.18  0.66 -1.12  1.13 -0.4  1.16 0.9  0.97 0.4  "
        "0.84 -0.3  0.4 -0.72  0.02 -0.9  -0.4 -0.7  -0.84 -0.3  -0.97 0.4"
    ),
    "hair: drawn back": _path(
        "-1.03 0  -1.06 -0.56  -0.62 -1.1  0 -1.16  0.62 -1.1  1.06 -0.56  1.03 0  0.9 -0.4  0.5 -0.7  "
        "0 -0.76  -0.5 -0.7  -0.9 -0.4"
    ),
    "scarf": _path(
        "-1.1 0.3  -1.06 -0.5  -0.6 -1.1  0.6 -1.1  1.06 -0.5  1.1 0.3  0.86 -0.2  0.5 -0.66  0 -0.72  "
        "-0.5 -0.66  -0.86 -0.2"
    ),
    "beard": _path("-0.86 0.2  -0.62 0.42  -0.3 0.42  0 0.45  0.3 0.42  0.62 0.42  0.86 0.2"),
    "mouth": _path("-0.27 0.55  0 0.575  0.27 0.55  0.15 0.68  0 0.715  -0.15 0.68"),
    "teeth": _path("-0.21 0.57  0 0.59  0.21 0.57  0 0.63"),
    "moustache": _path("-0.3 0.53  -0.12 0.42  0 0.44  0.12 0.42  0.3 0.53  0 0.5"),
}


def mix(a: Rgb, b: Rgb, share: float) -> Rgb:
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def darker(colour: Rgb, share: float = 0.18) -> Rgb:
    return mix(colour, (20, 16, 30), share)


def lighter(colour: Rgb, share: float = 0.2) -> Rgb:
    return mix(colour, (255, 255, 255), share)


def _spline(points: Sequence[Point], *, steps: int = 12) -> list[Point]:
    """Return a closed Catmull-Rom curve through `points`."""
    n = len(points)
    out: list[Point] = []
    for i in range(n):
        p0, p1, p2, p3 = points[i - 1], points[i], points[(i + 1) % n], points[(i + 2) % n]
        for s in range(steps):
            t = s / steps
            a, b, c, d = (
                -t + 2 * t * t - t**3,
                2 - 5 * t * t + 3 * t**3,
                t + 4 * t * t - 3 * t**3,
                t**3 - t * t,
            )
            out.append(
                (
                    (a * p0[0] + b * p1[0] + c * p2[0] + d * p3[0]) / 2,
                    (a * p0[1] + b * p1[1] + c * p2[1] + d * p3[1]) / 2,
                )
            )
    return out


class FacePainter:
    """Paints one face on an image of twice the final size. All coordinates are those of the final size."""

    def __init__(self, image: Image.Image, face: FaceTraits, rand: random.Random) -> None:
        self.pen = ImageDraw.Draw(image, "RGBA")
        self.face = face
        self.cx = WIDTH / 2 + rand.uniform(-10, 10)
        self.cy = 226 + rand.uniform(-8, 10)
        self.turn = rand.uniform(-5, 5)
        self.hw = 86 * face.face_width
        self.hh = 112 * face.face_height
        self.shade = darker(face.skin, 0.16)

    def at(self, x: float, y: float) -> Point:
        """Return a point in pixels of the large image from half head widths and heights."""
        return ((self.cx + x * self.hw) * SCALE, (self.cy + y * self.hh) * SCALE)

    def blob(self, points: Sequence[Point], fill: tuple[int, ...], *, turned: bool = False) -> None:
        """Fill a smooth closed shape through `points`. `turned`: it moves sideways with a turned head."""
        aside = self.turn / 100 if turned else 0.0
        self.pen.polygon(_spline([self.at(x + aside, y) for x, y in points]), fill=fill)

    def shape(self, points: Sequence[Point], fill: tuple[int, ...]) -> None:
        self.pen.polygon([self.at(x, y) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
        """Fill an ellipse. The radii are pixels of the final size."""
        px, py = self.at(x, y)
        self.pen.ellipse((px - rx * SCALE, py - ry * SCALE, px + rx * SCALE, py + ry * SCALE), fill=fill)

    def line(self, points: Sequence[Point], fill: tuple[int, ...], width: float) -> None:
        px = [self.at(x, y) for x, y in points]
        self.pen.line(px, fill=fill, width=round(width * SCALE), joint="curve")
        r = width * SCALE / 2
        for x, y in (px[0], px[-1]):
            self.pen.ellipse((x - r, y - r, x + r, y + r), fill=fill)

    def arc(self, a: Point, b: Point, sag: float) -> list[Point]:
        """Return points of a shallow parabola from `a` to `b`, lower by `sag` (half head heights) in the middle."""
        return [
            (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t + sag * 4 * t * (1 - t))
            for t in (k / 12 for k in range(13))
        ]

    def head(self) -> list[Point]:
        """Return the outline of the face: half an ellipse above, a jaw between round and square below."""
        outline: list[Point] = []
        for k in range(48):
            angle = 2 * math.pi * k / 48
            x, y = math.cos(angle), math.sin(angle)
            if y > 0:
                power = 0.86 - 0.16 * self.face.jaw
                x = math.copysign(abs(x) ** power, x) * (1 - 0.12 * y * (1 - self.face.jaw * 0.6))
            outline.append((x, y))
        return outline

    def paint(self, *, mask: bool) -> None:
        self.hair_behind()
        self.body()
        self.neck_and_ears()
        self.shape(self.head(), self.face.skin)
        if self.face.beard == "full" and not mask:
            self.beard()
        self.features()
        if mask:
            self.mask()
        elif self.face.beard in ("moustache", "stubble"):
            self.beard()
        self.hair_in_front()
        if self.face.glasses:
            self.glasses()

    def body(self) -> None:
        cloth, dark = self.face.clothes, darker(self.face.clothes, 0.22)
        self.blob(SHAPES["shoulders"], cloth)
        self.line(self.arc((-1.35, 2.6), (-1.28, 2.05), -0.02), dark, 2.5)
        self.line(self.arc((1.35, 2.6), (1.28, 2.05), -0.02), dark, 2.5)

    def neck_and_ears(self) -> None:
        skin, shade, garment = self.face.skin, self.shade, self.face.garment
        if self.face.style not in ("bob", "long", "scarf"):
            for side in (-1, 1):
                self.disc(side * 1.0, 0.08, 13, 21, skin)
                self.disc(side * 1.01, 0.09, 7, 13, shade)
        self.shape([(-0.42, 0.6), (0.42, 0.6), (0.44, 1.45), (0, 1.66), (-0.44, 1.45)], skin)
        self.blob([(-0.46, 0.7), (0, 0.95), (0.46, 0.7), (0.44, 1.06), (0, 1.25), (-0.44, 1.06)], shade)
        dark = darker(self.face.clothes, 0.25)
        if garment == "tee":
            self.line(self.arc((-0.46, 1.42), (0.46, 1.42), 0.27), dark, 7)
        elif garment == "hoodie":
            self.line(self.arc((-0.62, 1.34), (0.62, 1.34), 0.42), dark, 20)
            self.line([(-0.2, 1.72), (-0.22, 2.2)], lighter(self.face.clothes, 0.6), 3)
            self.line([(0.2, 1.72), (0.22, 2.25)], lighter(self.face.clothes, 0.6), 3)
        elif garment == "blouse":
            self.shape([(-0.46, 1.38), (0, 1.95), (0.46, 1.38), (0.44, 1.3), (0, 1.62), (-0.44, 1.3)], skin)
            self.line([(-0.5, 1.38), (0, 1.98), (0.5, 1.38)], dark, 5)
        else:
            self.shirt(suit=garment == "suit", dark=dark)

    def shirt(self, *, suit: bool, dark: Rgb) -> None:
        inner = (244, 244, 246) if suit else lighter(self.face.clothes, 0.12)
        if suit:
            self.shape([(-0.5, 1.36), (0.5, 1.36), (0.3, 3), (-0.3, 3)], inner)
            if self.face.style in ("short", "parted", "crew", "bald"):
                tie = mix(self.face.clothes, (170, 40, 60), 0.7)
                self.shape([(-0.1, 1.72), (0.1, 1.72), (0.16, 2.9), (-0.16, 2.9)], tie)
                self.shape([(-0.13, 1.6), (0.13, 1.6), (0.08, 1.78), (-0.08, 1.78)], darker(tie))
            for side in (-1, 1):
                self.shape(
                    [(side * 0.5, 1.34), (side * 0.98, 1.62), (side * 0.3, 2.9), (side * 0.14, 2.9)], dark
                )
        else:
            self.line([(0, 1.7), (0, 2.9)], dark, 2.5)
            for y in (1.95, 2.2):
                self.disc(0, y, 3, 3, dark)
        for side in (-1, 1):
            self.shape([(side * 0.46, 1.3), (side * 0.62, 1.44), (side * 0.3, 1.86), (0, 1.62)], inner)
            self.line([(side * 0.62, 1.44), (side * 0.3, 1.86), (0, 1.62)], darker(inner, 0.14), 2)

    def features(self) -> None:
        face, t = self.face, self.turn / 100
        if face.blush:
            for side in (-1, 1):
                self.disc(side * 0.56 + t, 0.32, 17, 11, (232, 96, 96, 42))
        for side in (-1, 1):
            x = side * 0.4 + t
            rx, ry = 13.5 * face.eyes, 8.8 * face.eyes
            self.disc(x, 0.0, rx, ry, (252, 252, 250))
            self.disc(x + t, 0.005, 7.2, 7.6, mix(face.hair, (70, 52, 36), 0.6))
            self.disc(x + t, 0.005, 3.8, 4.2, (18, 14, 16))
            self.disc(x + t + 0.03, -0.025, 1.8, 1.8, (255, 255, 255))
            self.line(self.arc((x - 0.17, -0.02), (x + 0.17, -0.02), -0.085), darker(face.skin, 0.75), 2.6)
            brow = darker(face.hair, 0.1) if face.style != "scarf" else (52, 38, 32)
            tilt = 0.03 * face.brows * side
            self.line(self.arc((x - 0.2, -0.2 + tilt), (x + 0.2, -0.2 - tilt), -0.055), brow, 4.6)
        self.line([(0.02 + t, 0.06), (0.09 + t * 1.6, 0.3), (-0.03 + t, 0.33)], self.shade, 3.4)
        lips = mix(face.skin, (184, 66, 72), 0.62)
        if face.mouth > 0.72:
            self.blob(SHAPES["mouth"], darker(lips, 0.3), turned=True)
            self.blob(SHAPES["teeth"], (250, 248, 246), turned=True)
        else:
            self.line(self.arc((-0.24 + t, 0.57), (0.24 + t, 0.57), 0.1 * face.mouth), lips, 5.2)

    def beard(self) -> None:
        hair = self.face.hair
        if self.face.beard == "full":
            lower = [(x * 1.03, y * 1.04) for x, y in self.head() if y >= 0.1]
            self.shape([*lower, *SHAPES["beard"]], lighter(hair, 0.06))
        elif self.face.beard == "moustache":
            self.blob(SHAPES["moustache"], hair, turned=True)
        else:
            lower = [(x * 0.99, y * 0.99) for x, y in self.head() if y >= 0.25]
            self.shape([*lower, (-0.6, 0.4), (0, 0.44), (0.6, 0.4)], (*hair, 44))

    def mask(self) -> None:
        cloth = mix((146, 196, 222), (250, 250, 250), (self.face.jaw * 7) % 1)
        for side in (-1, 1):
            self.line([(side * 0.84, 0.34), (side * 1.0, 0.1)], darker(cloth, 0.12), 3)
            self.line([(side * 0.72, 0.8), (side * 1.0, 0.2)], darker(cloth, 0.12), 3)
        self.blob(SHAPES["mask"], cloth)
        for y in (0.4, 0.56, 0.72):
            self.line(self.arc((-0.7, y), (0.7, y), 0.03), darker(cloth, 0.09), 2.2)

    def glasses(self) -> None:
        frame = darker(self.face.hair, 0.4)
        for side in (-1, 1):
            x, y = self.at(side * 0.42 + self.turn / 100, 0.02)
            rx, ry = 29 * SCALE, 22 * SCALE
            self.pen.rounded_rectangle(
                (x - rx, y - ry, x + rx, y + ry),
                radius=17 * SCALE,
                fill=(255, 255, 255, 34),
                outline=frame,
                width=3 * SCALE,
            )
            self.line([(side * 0.76, -0.02), (side * 0.98, -0.05)], frame, 3)
        self.line(self.arc((-0.1 + self.turn / 100, 0.0), (0.1 + self.turn / 100, 0.0), -0.04), frame, 3)

    def hair_behind(self) -> None:
        """Paint the hair behind the head. It is painted first."""
        style, dark = self.face.style, darker(self.face.hair, 0.25)
        if style == "bun":
            self.disc(0, -1.22, 36, 33, dark)
        elif style == "curly":
            for k in range(15):
                angle = math.pi * (1 + (k - 1) / 12)
                self.disc(math.cos(angle) * 0.98, math.sin(angle) * 0.98 + 0.06, 27, 27, dark)
        elif f"behind: {style}" in SHAPES:
            self.blob(SHAPES[f"behind: {style}"], self.face.clothes if style == "scarf" else dark)

    def hair_in_front(self) -> None:
        style = self.face.style
        if style == "scarf":
            cloth = lighter(self.face.clothes, 0.1)
            self.blob(SHAPES["scarf"], cloth)
            self.line(self.arc((-0.98, 0.62), (0.98, 0.62), 0.56), cloth, 24)
        elif style != "bald":
            self.blob(SHAPES.get(f"hair: {style}", SHAPES["hair: drawn back"]), self.face.hair)
            self.line(self.arc((-0.5, -0.92), (0.36, -0.96), -0.08), lighter(self.face.hair, 0.12), 5)
