"""Mermaid diagrams: drawn by the reader's browser, with a copy of Mermaid that the site brings along."""

from html import escape
from pathlib import Path
from shutil import copyfile
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

MERMAID = Path(__file__).parent / "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"


class Diagrams(SphinxTransform):
    """Blocks of `mermaid`, which a code host draws, are left to `diagrams.js`."""

    default_priority = 500

    def apply(self, **options: Any) -> None:
        for block in list(self.document.findall(nodes.literal_block)):
            if block.get("language") == "mermaid":
                html = f'<pre class="mermaid">{escape(block.astext())}</pre>'
                block.replace_self(nodes.raw("", html, format="html"))


def _copy(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        copyfile(MERMAID, Path(app.outdir) / "_static" / MERMAID.name)


def setup(app: Sphinx) -> dict[str, bool]:
    if not MERMAID.is_file():
        raise ExtensionError("Mermaid is not installed; build the site with `make docs`.")
    app.add_transform(Diagrams)
    app.add_js_file(MERMAID.name)
    app.add_js_file("diagrams.js")
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True}
