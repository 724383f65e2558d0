"""How are lines on two logarithmic axes drawn as SVG without a plotting library?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

__all__ = ["Points", "log_log_svg"]

Points = Sequence[tuple[int, float]]
"""Bytes that the application sent, and the nanoseconds that gating them added."""

_SIZE = "860 470"
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 575, 50, 410
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c6d00", "#56b4e9")
_LABEL_HEIGHT: Final = 19
_BYTES: Final = ("B", "kB", "MB", "GB")
_TIMES: Final = ("ns", "µs", "ms", "s")
_ROOT: Final = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_SIZE}" font-family="sans-serif" font-size="12">'


class _Axis:
    """Maps a range of values, widened to whole decades, to a range of pixels."""

    def __init__(self, values: list[float], first_pixel: int, last_pixel: int) -> None:
        self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self._first, self._scale = first_pixel, (last_pixel - first_pixel) / (self.high - self.low)

    def at(self, value: float) -> float:
        return self._first + (math.log10(value) - self.low) * self._scale

    def decades(self) -> range:
        return range(self.low, self.high + 1)


def log_log_svg(title: str, lines: Mapping[str, Points]) -> str:
    """Return the drawing: bytes to the right, time upwards, a dashed line of slope one to compare with."""
    points = [point for line in lines.values() for point in line if point[1] > 0]
    across = _Axis([float(size) for size, _ in points], _LEFT, _RIGHT)
    upward = _Axis([cost for _, cost in points], _BOTTOM, _TOP)
    parts = [
        _ROOT,
        f'<title>{escape(title)}</title><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT}" y="26" font-size="15" font-weight="bold">{escape(title)}</text>',
        *_grid(across, upward),
        *_guide(across, upward),
        *_curves(lines, across, upward),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(across: _Axis, upward: _Axis) -> Iterator[str]:
    for decade in across.decades():
        x = across.at(10.0**decade)
        yield f'<path d="M{x:.1f} {_TOP}V{_BOTTOM}" stroke="#e3e3e3"/>'
        yield f'<text x="{x:.1f}" y="{_BOTTOM + 20}" text-anchor="middle">{_scaled(decade, _BYTES)}</text>'
    for decade in upward.decades():
        y = upward.at(10.0**decade)
        yield f'<path d="M{_LEFT} {y:.1f}H{_RIGHT}" stroke="#e3e3e3"/>'
        yield f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_scaled(decade, _TIMES)}</text>'
    middle = (_LEFT + _RIGHT) / 2
    yield f'<text x="{middle}" y="{_BOTTOM + 42}" text-anchor="middle">bytes that the application sends</text>'


def _guide(across: _Axis, upward: _Axis) -> Iterator[str]:
    """Draw the line of slope one that ends in the upper right corner's decade."""
    decades = min(across.high - across.low, upward.high - upward.low)
    x, y = 10.0**across.high, 10.0 ** (upward.high - 1)
    start = f"{across.at(x / 10**decades):.1f} {upward.at(max(y / 10**decades, 10.0**upward.low)):.1f}"
    yield f'<path d="M{start}L{across.at(x):.1f} {upward.at(y):.1f}" stroke="#999" stroke-dasharray="5 5"/>'
    yield f'<text x="{_RIGHT + 12}" y="{upward.at(y) + 4:.1f}" fill="#777">a straight line (slope 1)</text>'


def _curves(lines: Mapping[str, Points], across: _Axis, upward: _Axis) -> Iterator[str]:
    """Draw each line with its name at its right end, names kept apart from each other."""
    free = upward.at(10.0 ** (upward.high - 1)) + _LABEL_HEIGHT
    ordered = sorted(zip(lines.items(), _COLOURS, strict=False), key=lambda item: upward.at(item[0][1][-1][1]))
    for (name, points), colour in ordered:
        pixels = [(across.at(size), upward.at(cost)) for size, cost in points if cost > 0]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels)
        yield f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in pixels)
        free = max(free, pixels[-1][1])
        yield f'<text x="{_RIGHT + 12}" y="{free + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        free += _LABEL_HEIGHT


def _scaled(decade: int, units: tuple[str, ...]) -> str:
    """Return ten to the *decade* in the unit that keeps the number below a thousand."""
    step = max(0, min(decade // 3, len(units) - 1))
    return f"{10 ** (decade - 3 * step):g} {units[step]}"
