"""Blocks of code on the pages of the repository, as a reader finds them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.server import ROOT

# Indented ones as well: they stand in lists.
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.S | re.M)


@dataclass(frozen=True)
class Block:
    """One block."""

    page: str  # its path from the repository's root
    line: int
    language: str
    text: str
    before: str  # the paragraph above it


def pages() -> list[str]:
    found = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found if "node_modules" not in path.parts)


def blocks(page: str, *languages: str) -> Iterator[Block]:
    """A page's blocks in these languages."""
    text = (ROOT / page).read_text()
    for match in _BLOCK.finditer(text):
        if match[2] in languages:
            above = text[: match.start()]
            body = re.sub(rf"^{match[1]}", "", match[3], flags=re.M)
            yield Block(page, above.count("\n") + 1, match[2], body, above.rstrip().split("\n\n")[-1])


def spans(page: str) -> list[str]:
    """What stands as code within a page's sentences."""
    return re.findall(r"`([^`\n]+)`", _BLOCK.sub("", (ROOT / page).read_text()))


def block(page: str, beginning: str) -> str:
    """The one block of shell of a page that begins so."""
    (found,) = (each.text for each in blocks(page, "sh") if each.text.startswith(beginning))
    return found


def commands(text: str) -> list[str]:
    """A block's command lines, without comments; a line that ends with a backslash goes on."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = (re.split(r"\s+# ", line)[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
