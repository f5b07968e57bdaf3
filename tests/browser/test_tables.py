"""Tables whose cells are long are read on a phone as well."""

import pytest

from pki.models import Campaign, TrustBundle
from tests.browser.visits import PHONE
from tests.console.browser import changelist

# How much more there is than is seen of each such table.
HIDDEN = "tables => tables.map(table => table.parentElement.scrollWidth - table.parentElement.clientWidth)"
# How many lines the longest of its cells takes.
LINES = """tables => Math.max(...tables.flatMap(table => [...table.querySelectorAll("td")].map(
    cell => cell.getBoundingClientRect().height / parseFloat(getComputedStyle(cell).lineHeight))))"""


# The newest version has all pins, the oldest campaign has who is behind.
@pytest.mark.parametrize(("model", "place"), [(TrustBundle, 0), (Campaign, -1)])
def test_on_a_phone_no_row_is_cut_off_or_squeezed_into_a_column_of_letters(visit, model, place):
    console = visit(screen=PHONE)
    console.open(changelist(model))
    console.page.locator(f'a[href*="{changelist(model)}"][href*="/change/"]').nth(place).click()
    tables = console.page.locator("table.stacked")
    tables.first.wait_for()
    assert set(tables.evaluate_all(HIDDEN)) == {0}
    assert tables.evaluate_all(LINES) < 4
