"""The frame of a picture as SVG, with nothing but the standard library.

It has its own ground, so that it is readable wherever it is shown, dark where the reader's system is.
"""

from collections.abc import Sequence
from html import escape

LEFT = 46
_STYLE = (
    "text{fill:#24292f}.ground{fill:#ffffff}.grid{stroke:#d0d7de}.shade{fill:#eaeef2}"
    "@media(prefers-color-scheme:dark)"
    "{text{fill:#e6edf3}.ground{fill:#0d1117}.grid{stroke:#30363d}.shade{fill:#21262d}}"
)


def svg(title: str, width: int, height: int, legend: Sequence[tuple[str, str]], parts: Sequence[str]) -> str:
    """A picture with its title and a legend, of names and colors; below 44 there is room for the parts."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="sans-serif" font-size="11">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style>",
            f'<rect class="ground" width="{width}" height="{height}"/>',
            f'<text x="{LEFT}" y="18" font-size="13" font-weight="bold">{escape(title)}</text>',
            *_legend(legend),
            *parts,
            "</svg>",
            "",
        ]
    )


def _legend(names: Sequence[tuple[str, str]]) -> list[str]:
    parts, left = [], LEFT
    for name, color in names:
        parts.append(f'<rect x="{left}" y="28" width="14" height="3" fill="{color}"/>')
        parts.append(f'<text x="{left + 19}" y="34">{escape(name)}</text>')
        left += 32 + 7 * len(name)
    return parts
