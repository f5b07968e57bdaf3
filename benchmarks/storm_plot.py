"""Lines over hours as SVG, in panels, with nothing but the standard library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 460, 170  # of a panel, with its margins
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 18, 26, 26


@dataclass(frozen=True)
class Line:
    name: str
    color: str
    values: Sequence[float]  # evenly spaced from 0 to the panel's hours


@dataclass(frozen=True)
class Panel:
    title: str
    hours: float
    lines: tuple[Line, ...]
    shaded: tuple[float, float] | None = None  # hours


def svg(title: str, panels: Sequence[Panel], columns: int, most: float) -> str:
    """Panels of one scale, 0 to `most`, with a legend above."""
    rows = -(-len(panels) // columns)
    width, height = columns * _WIDTH, rows * _HEIGHT + 48
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#24292f">',
        f'<title>{escape(title)}</title><rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>',
        *_legend(panels[0].lines),
    ]
    for number, panel in enumerate(panels):
        left, top = number % columns * _WIDTH, number // columns * _HEIGHT + 44
        parts.append(f'<g transform="translate({left} {top})">{_panel(panel, most)}</g>')
    return "\n".join([*parts, "</svg>", ""])


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, left = [], _LEFT
    for line in lines:
        parts.append(f'<rect x="{left}" y="28" width="14" height="3" fill="{line.color}"/>')
        parts.append(f'<text x="{left + 19}" y="34">{escape(line.name)}</text>')
        left += 32 + 7 * len(line.name)
    return parts


def _panel(panel: Panel, most: float) -> str:
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def across(hour: float) -> float:
        return _LEFT + wide * hour / panel.hours

    def up(value: float) -> float:
        return _TOP + high * (1 - min(value, most) / most)

    parts = [f'<text x="{_LEFT}" y="{_TOP - 8}">{escape(panel.title)}</text>']
    if panel.shaded:
        begin, end = map(across, panel.shaded)
        parts.append(
            f'<rect x="{begin:.1f}" y="{_TOP}" width="{end - begin:.1f}" height="{high}" fill="#eaeef2"/>'
        )
    for quarter in range(5):
        value = most * quarter / 4
        parts.append(
            f'<path d="M{_LEFT} {up(value):.1f}h{wide}" stroke="#d0d7de" stroke-width="0.5"/>'
            f'<text x="{_LEFT - 5}" y="{up(value) + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
        )
    for hour in range(0, int(panel.hours) + 1, 12):
        parts.append(f'<text x="{across(hour):.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{hour} h</text>')
    for line in panel.lines:
        each = panel.hours / max(len(line.values) - 1, 1)
        points = " ".join(
            f"{across(number * each):.1f},{up(value):.1f}" for number, value in enumerate(line.values)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{line.color}" stroke-width="1.2"/>')
    return "".join(parts)
