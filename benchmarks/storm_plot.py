"""Lines over hours as SVG, in panels."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks import drawing

_WIDTH, _HEIGHT = 460, 170  # of a panel, with its margins
_LEFT, _RIGHT, _TOP, _BOTTOM = drawing.LEFT, 18, 26, 26


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
    parts = []
    for number, panel in enumerate(panels):
        left, top = number % columns * _WIDTH, number // columns * _HEIGHT + 44
        parts.append(f'<g transform="translate({left} {top})">{_panel(panel, most)}</g>')
    legend = [(line.name, line.color) for line in panels[0].lines]
    return drawing.svg(title, columns * _WIDTH, rows * _HEIGHT + 48, legend, parts)


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
            f'<rect class="shade" x="{begin:.1f}" y="{_TOP}" width="{end - begin:.1f}" height="{high}"/>'
        )
    for quarter in range(5):
        value = most * quarter / 4
        parts.append(
            f'<path class="grid" d="M{_LEFT} {up(value):.1f}h{wide}" stroke-width="0.5"/>'
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
