"""The site's address itself leads to its first page, which lies in a folder as it does in the repository."""

from pathlib import Path

from sphinx.application import Sphinx

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Hatchery</title>
<meta http-equiv="refresh" content="0; url={target}">
<a href="{target}">Hatchery</a>
"""


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        (Path(app.outdir) / "index.html").write_text(_PAGE.format(target=f"{app.config.root_doc}.html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}
