"""Costs as bars, as SVG: a panel for each thing that is done, a row for each who does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks import drawing

_WIDTH, _NAMES, _VALUES = 760, 170, 64  # of all, of the names on the left, of the last figure on the right
_ROW, _BAR, _TITLE = 30, 11, 26


@dataclass(frozen=True)
class Bar:
    color: str
    value: float
    beside: float = 0.0  # drawn on, paler: what somebody else does for it


@dataclass(frozen=True)
class Row:
    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Panel:
    title: str
    rows: tuple[Row, ...]
    most: float  # of the scale; a longer bar is cut off there, and its figure has a mark


def svg(title: str, legend: Sequence[tuple[str, str]], panels: Sequence[Panel]) -> str:
    parts, top = [], 44
    for panel in panels:
        parts.append(f'<g transform="translate(0 {top})">{_panel(panel)}</g>')
        top += _height(panel)
    return drawing.svg(title, _WIDTH, top + 12, legend, parts)


def _height(panel: Panel) -> int:
    return _TITLE + _ROW * len(panel.rows) + 8


def _panel(panel: Panel) -> str:
    parts = [f'<text x="{drawing.LEFT}" y="16" font-weight="bold">{escape(panel.title)}</text>']
    for number, row in enumerate(panel.rows):
        top = _TITLE + _ROW * number
        parts.append(f'<text x="{_NAMES - 6}" y="{top + 14}" text-anchor="end">{escape(row.name)}</text>')
        for place, bar in enumerate(row.bars):
            parts.append(_bar(bar, top + place * (_BAR + 1), panel.most))
    return "".join(parts)


def _bar(bar: Bar, top: int, most: float) -> str:
    room = _WIDTH - _NAMES - _VALUES
    own = room * min(bar.value, most) / most
    whole = room * min(bar.value + bar.beside, most) / most
    cut = "» " if bar.value + bar.beside > most else ""
    figure = f"{cut}{bar.value + bar.beside:.2f}"
    return (
        f'<rect x="{_NAMES}" y="{top}" width="{own:.1f}" height="{_BAR}" fill="{bar.color}"/>'
        f'<rect x="{_NAMES + own:.1f}" y="{top}" width="{whole - own:.1f}" height="{_BAR}" '
        f'fill="{bar.color}" fill-opacity="0.4"/>'
        f'<text x="{_NAMES + whole + 4:.1f}" y="{top + 9}" font-size="10">{figure}</text>'
    )
