"""Markdown, as the pages need it."""

from collections.abc import Iterable, Sequence


def page(title: str, about: str, *parts: str) -> str:
    """A whole page."""
    written = "Written from the code by `make reference`; a test holds it to that."
    return "\n\n".join([f"# {title}", about, written, *parts]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell may hold any text of one paragraph."""
    lines = [head, ["---"] * len(head), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: object) -> str:
    """Words as they are typed."""
    return f"`{text}`"


def first_paragraph(docstring: str | None) -> str:
    """Of a docstring, in one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())


def first_sentence(docstring: str | None) -> str:
    """Of a docstring."""
    return first_paragraph(docstring).split(". ")[0].split("; ")[0].rstrip(".:") + "."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")
