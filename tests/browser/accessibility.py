"""axe-core's judgment of a page."""

from collections.abc import Sequence

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

_GRAVE = ("serious", "critical")
# Nodes that axe leaves out, each with the reason why they cannot be mended here.
EXCLUDED = (
    # Written by Django's own script for choosing many of many: a label on an element without a role.
    ".selector .help-tooltip",
)

# The rules that a screen's size and colours decide; what a page says is the same on each.
OF_LOOKS = ("color-contrast", "link-in-text-block", "scrollable-region-focusable")

_IS_THERE = "typeof axe === 'object'"
_RUN = """async ([excluded, rules]) => {
    const context = { exclude: excluded.map((each) => [each]) };
    const some = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
    const found = await axe.run(context, { resultTypes: ["violations"], ...some });
    return found.violations;
}"""


def grave_violations(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe finds serious or critical on a page as it stands, one paragraph for each element.

    By these rules, or by all.
    """
    if not page.evaluate(_IS_THERE):
        page.evaluate(AXE_SCRIPT)
    return [
        f"{page.url}\n  {violation['impact']}: {violation['help']} ({violation['id']})\n"
        f"  {' '.join(map(str, node['target']))}: {node['html'][:300]}\n  {node['failureSummary']}"
        for violation in page.evaluate(_RUN, [list(EXCLUDED), list(rules)])
        if violation["impact"] in _GRAVE
        for node in violation["nodes"]
    ]
