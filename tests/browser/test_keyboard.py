"""The console by keyboard alone; whoever goes there sees where they are."""

import re

from playwright.sync_api import expect

FARTHEST = 120  # presses of Tab to anything on a page
_SHOWS = """() => {
    const style = (element) => getComputedStyle(element);
    const marked = ({ outlineStyle, outlineWidth, boxShadow }) =>
        (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
    const here = document.activeElement;
    // Some fields mark the frame around them.
    return [here, here.parentElement, here.parentElement.parentElement].some((each) => marked(style(each)));
}"""


def tab_to(console, locator):
    """Press Tab until this has the focus; each stop on the way must show that it has it."""
    for _ in range(FARTHEST):
        console.page.keyboard.press("Tab")
        if console.page.evaluate("document.activeElement === document.body"):
            continue  # in the browser's own frame, between the end and the beginning
        assert console.page.evaluate(_SHOWS), console.page.evaluate("document.activeElement.outerHTML")
        if locator.evaluate_all("(found) => found.includes(document.activeElement)"):
            return
    raise AssertionError(f"Tab does not reach {locator}")


def test_a_device_is_found_and_suspended_by_keyboard_alone(visit):
    ada = visit(None)
    keys, page = ada.page.keyboard, ada.page
    ada.open("/admin/")
    if not page.get_by_label("Username").evaluate("(field) => field === document.activeElement"):
        tab_to(ada, page.get_by_label("Username"))
    keys.type("admin")
    tab_to(ada, page.get_by_label("Password"))
    keys.type(visit.passwords["admin"])
    keys.press("Enter")
    expect(page.get_by_label("Password")).to_have_count(0)

    tab_to(ada, page.get_by_role("link", name=re.compile("Devices$")))
    keys.press("Enter")
    page.wait_for_url(re.compile("/pki/device/$"))
    tab_to(ada, page.get_by_role("link", name="tokyo-camera-02"))
    keys.press("Enter")
    page.wait_for_url(re.compile("/change/"))
    expect(ada.heading).to_contain_text("tokyo-camera-02", ignore_case=True)

    tab_to(ada, page.get_by_role("link", name=re.compile("Devices$")))
    keys.press("Enter")
    page.wait_for_url(re.compile("/pki/device/$"))
    tab_to(ada, ada.row("tokyo-camera-02").get_by_role("checkbox"))
    keys.press("Space")
    tab_to(ada, page.get_by_label("Select action to run"))
    keys.type("Suspend")
    tab_to(ada, page.get_by_role("button", name="Run"))
    keys.press("Enter")
    suspend = page.get_by_role("button", name=re.compile("^Suspend"))
    expect(suspend).to_be_visible()
    tab_to(ada, suspend)
    keys.press("Enter")
    ada.sees("Now suspended: 1 device")


def test_revocation_lists_are_published_by_keyboard_alone(visit, rows):
    olga = visit("olga")
    keys, page = olga.page.keyboard, olga.page
    olga.open_named("pki_issuer_change", rows["pki.Issuer"])
    tab_to(olga, page.get_by_role("link", name="Publish now"))
    keys.press("Enter")
    page.wait_for_url(re.compile("/publish/$"))
    tab_to(olga, page.get_by_role("button", name="Publish now"))
    keys.press("Enter")
    page.wait_for_url(re.compile("/change/$"))
    olga.sees(re.compile(r"Published: .*full list: number \d+"))


def test_the_address_of_a_list_is_copied_by_keyboard_alone(visit, rows):
    vera = visit("vera")
    vera.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    vera.open_named("pki_revocationlist_change", rows["pki.RevocationList"])
    copy = vera.page.get_by_role("button", name="Copy address", exact=True)
    tab_to(vera, copy)
    vera.page.keyboard.press("Enter")
    vera.sees("Copied")
    copied = vera.page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"http://[^/]+/crl/[0-9a-f]{40}/1\.crl", copied)
