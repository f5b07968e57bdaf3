"""The site's menu. A page that stands in none of its parts stops the build (Sphinx: toc.not_included)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests read this without Sphinx
    from sphinx.application import Sphinx

# Titles of its parts, and their pages: paths from the repository's root, without .md; `Name <path>` where a
# page's title is too long for a menu, or says too little there.
MENU: dict[str, list[str]] = {
    "Start": ["Quick start <README>"],
    "Concepts": ["docs/concepts/tls", "docs/concepts/files"],
    "Devices": [
        "docs/enrollment",
        "docs/renewal",
        "Revocation status <docs/status>",
        "The agent <examples/agent/README>",
        "Files for clients <docs/bundles>",
        "docs/diagnose",
    ],
    "Clients": [
        "Which one <docs/clients/index>",
        "examples/curl/README",
        "examples/openssl/README",
        "examples/python/README",
        "examples/node/README",
        "examples/go/README",
        "examples/java/README",
        "Kotlin, for Android <examples/kotlin/README>",
        "Swift, for iPhone, iPad, Mac <examples/swift/README>",
        "docs/clients/phones",
    ],
    "Administering": ["docs/console", "Campaigns <docs/campaigns>", "docs/rollover", "docs/notices"],
    "Operating": [
        "docs/operating",
        "docs/monitoring",
        "docs/faults",
        "PostgreSQL, several nodes <docs/postgresql>",
        "systemd <examples/systemd/README>",
        "Docker <examples/docker/README>",
        "Kubernetes <examples/kubernetes/README>",
        "docs/moving-in",
        "docs/topologies",
        "docs/proxies",
        "examples/README",
        "examples/nginx/README",
        "examples/haproxy/README",
        "examples/traefik/README",
        "examples/envoy/README",
        "examples/crl/README",
        "docs/backup",
        "docs/audit",
        "docs/performance",
        "A million devices <docs/renewal-storm>",
    ],
    "Reference": [
        "docs/reference/settings",
        "docs/reference/commands",
        "docs/reference/endpoints",
        "docs/reference/errors",
        "docs/reference/models",
    ],
    "Security": ["docs/security", "docs/hardening", "docs/supply-chain"],
    "Hatchery itself": ["docs/architecture", "docs/decisions", "CHANGELOG"],
}


def _with_menu(app: "Sphinx", page: str, source: list[str]) -> None:
    """Add the menu to the first page: there a code host would show it as a block of code."""
    if page == app.config.root_doc:
        source[0] += "".join(_part(title, pages) for title, pages in MENU.items())


def _part(title: str, pages: list[str]) -> str:
    lines = "\n".join(page.replace("<", "</") if "<" in page else f"/{page}" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{lines}\n```\n"


def setup(app: "Sphinx") -> dict[str, bool]:
    app.connect("source-read", _with_menu)
    return {"parallel_read_safe": True}
