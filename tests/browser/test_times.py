"""Times are the reader's own, with UTC on hover."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from pki.models import Certificate
from tests.console.browser import changelist


@pytest.mark.parametrize("timezone", ["Asia/Tokyo", "America/New_York"])
def test_a_time_is_shown_in_the_readers_zone_with_utc_on_hover(visit, timezone):
    ada = visit(timezone=timezone)
    ada.open(changelist(Certificate))
    times = ada.page.locator("time[datetime]")
    assert times.count() > 0
    for time in times.all():
        at = datetime.fromisoformat(time.get_attribute("datetime"))
        assert time.text_content() == f"{at.astimezone(ZoneInfo(timezone)):%Y-%m-%d %H:%M}"
        assert time.get_attribute("title") == f"{at:%Y-%m-%d %H:%M:%S} UTC"
