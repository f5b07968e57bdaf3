"""axe-core's judgment of a page."""

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_GRAVE = ("serious", "critical")
# Nodes that axe leaves out, each with the reason why they cannot be mended here.
EXCLUDED = (
    # Written by Django's own script for choosing many of many: a label on an element without a role.
    ".selector .help-tooltip",
)

_IS_THERE = "typeof axe === 'object'"
_RUN = """async (excluded) => {
    const context = { exclude: excluded.map((each) => [each]) };
    const found = await axe.run(context, { resultTypes: ["violations"] });
    return found.violations;
}"""


def grave_violations(page: Page) -> list[str]:
    """What axe finds serious or critical on a page as it stands, one paragraph for each element."""
    if not page.evaluate(_IS_THERE):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{page.url}\n  {violation['impact']}: {violation['help']} ({violation['id']})\n"
        f"  {' '.join(map(str, node['target']))}: {node['html'][:300]}\n  {node['failureSummary']}"
        for violation in page.evaluate(_RUN, list(EXCLUDED))
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]
