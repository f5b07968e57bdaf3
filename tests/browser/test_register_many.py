"""Many devices at once: the preview says which line is wrong, and nothing is made until none is."""

import re

from playwright.sync_api import expect

from pki.models import Device
from tests.browser.accessibility import grave_violations

GOOD = "name,labels\nhall-1,site=oslo\nhall-2,site=oslo\n"
BAD = GOOD.replace("hall-2", "hall 2/!")


def test_a_bad_line_is_named_and_nothing_is_made_until_it_is_mended(visit, tmp_path):
    ada = visit()
    sheet = tmp_path / "halls.csv"

    sheet.write_text(BAD)
    ada.open("/admin/pki/device/register-many/")
    ada.upload(re.compile("CSV file"), sheet)
    ada.press("Preview")
    wrong = ada.row("hall 2/!")
    expect(wrong).to_be_visible()
    expect(wrong.get_by_role("cell").first).to_have_text("3")  # the line, with the header as the first
    expect(ada.page.get_by_role("button", name=re.compile("^Register"))).to_have_count(0)
    assert grave_violations(ada.page) == []
    ada.open_list(Device, "hall")
    expect(ada.row("hall-1")).to_have_count(0)

    sheet.write_text(GOOD)
    ada.open("/admin/pki/device/register-many/")
    ada.upload(re.compile("CSV file"), sheet)
    ada.press("Preview")
    ada.press(re.compile("^Register 2 devices"))
    ada.sees("Registered 2 devices")
    ada.open_list(Device, "hall")
    for name in ("hall-1", "hall-2"):
        expect(ada.row(name)).to_be_visible()
