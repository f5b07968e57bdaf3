"""How Sphinx makes the site of README, docs/ and examples/: `make docs`.

Its source is the whole repository, so that a link from one page to another, or to a file, is written as a
code host wants it and works in the site too.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "Hatchery"
root_doc = "docs/index"
extensions = ["myst_parser", "docs.site.menu", "docs.site.links", "docs.site.diagrams", "docs.site.entrance"]

include_patterns = ["*.md", "docs/**.md", "examples/**.md"]
# Sphinx walks the folders that are not named here.
exclude_patterns = [
    ".*",
    "var",
    "site",
    "node_modules",
    "**/node_modules",
    "tests",
    "pki",
    "portal",
    "templates",
]

# GitHub's names for headings; a link to one that is not there stops the build.
myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]
suppress_warnings = [
    # A page's code blocks may be of languages that Pygments cannot read to the end, such as nginx's with `…`.
    "misc.highlighting_failure",
]

html_theme = "furo"
html_title = "Hatchery"
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}
html_show_sourcelink = False
html_copy_source = False
html_show_copyright = False
html_use_index = False
