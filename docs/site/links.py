"""Folders: a code host shows what is in one, and its README; the site that page, with the files below it."""

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this without Sphinx
    from sphinx.application import Sphinx

# `](../examples/agent/)`, and with an anchor; not an address, and nothing absolute.
_TO_A_FOLDER = re.compile(r"\[([^\[\]]+)\]\((?![a-z]+:|/)([^()#\s]+)/(#[^()\s]*)?\)")


def _to_readmes(app: "Sphinx", page: str, source: list[str]) -> None:
    folder = Path(app.srcdir) / PurePosixPath(page).parent
    source[0] = to_readmes(source[0], folder)
    if page.endswith("/README"):
        source[0] += files(folder)


def to_readmes(text: str, folder: Path) -> str:
    """The Markdown of a page in `folder`, with links to folders made links to their README, or words if they
    have none. What leads to no folder stays as it is, and stops the build.
    """

    def readme(link: re.Match[str]) -> str:
        words, there, anchor = link[1], folder / link[2], link[3] or ""
        if (there / "README.md").is_file():
            return f"[{words}]({link[2]}/README.md{anchor})"
        return words if there.is_dir() else link[0]

    return _TO_A_FOLDER.sub(readme, text)


def files(folder: Path) -> str:
    """A list of the files in a folder that are no pages, as Markdown."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != ".md")
    listed = "\n".join(f"- [{name}]({name})" for name in names if not name.startswith("."))
    return f"\n\n## Files\n\n{listed}\n" if listed else ""


def setup(app: "Sphinx") -> dict[str, bool]:
    app.connect("source-read", _to_readmes)
    return {"parallel_read_safe": True}
