"""The page of a version of the trust bundle: what is in it, and the lines by which a device takes it."""

import html
import re

from pki.models import TrustBundle
from pki.services.trusting import bundle
from tests.console.browser import page
from tests.services.bundles_cast import VERIFY, lines_of_the_page


def shown(ada, now):
    bundle.publish_due(now)
    return html.unescape(ada.get(page(TrustBundle.objects.latest("version"))).content.decode())


def test_it_shows_all_the_lines_of_the_documentation_with_this_hatcherys_address(ada, ca, now, settings):
    settings.PORTAL_HOSTNAMES, settings.PORTAL_PORT_PROVISIONING = ["hatchery.test"], 9445
    lines = lines_of_the_page().strip()
    assert " ".join(VERIFY) in " ".join(lines.replace("\\\n", " ").split()), "those that tests run"
    assert lines.replace("hatchery.example:8445", "hatchery.test:9445") in shown(ada, now)


def test_a_backup_alone_is_said_to_be_made_ahead(ada, ca, now):
    rows = re.findall(r"<tr>(.*?)</tr>", shown(ada, now).partition("<h2>Pins</h2>")[2], re.DOTALL)
    found = {(("backup" in row), row.count("made ahead")) for row in rows if "<td" in row}
    assert found == {(True, 1), (False, 0)}
