"""The page of a version of the trust bundle: what is in it, and the lines by which a device takes it."""

import html
import re
from io import StringIO

from django.core.management import call_command

from pki.models import TrustBundle
from pki.services.exporting.files import Form, Of
from pki.services.issuing import succession
from pki.services.trusting import bundle
from tests.console.browser import page
from tests.services.bundles_cast import VERIFY, lines_of_the_page, the_root
from tests.services.cast import TESTER


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


def pins_file(row, form):
    return page(row).replace("/change/", f"/download/{form}/")


def test_the_pins_can_be_had_in_the_words_of_those_who_pin(ada, ca, now, stranger, newcomer):
    text = shown(ada, now)
    row = TrustBundle.objects.get()
    for form in Form:
        url, is_pins = pins_file(row, form), form.kind.of is Of.PINS
        assert (f'href="{url}" download>{form.kind.words}<' in text) == is_pins
        answer = ada.client.get(url, secure=True)
        assert answer.status_code == (200 if is_pins else 404)
        if is_pins:
            printed = StringIO()
            call_command("export", "--roots", "--form", form, stdout=printed)
            assert answer.content.decode() == printed.getvalue()
            assert newcomer.client.get(url, secure=True).status_code == 403
            assert stranger.client.get(url, secure=True).status_code == 302


def test_an_earlier_version_offers_no_pins_as_they_would_be_those_of_today(ada, ca, now):
    bundle.publish_due(now)
    earlier = TrustBundle.objects.get()
    succession.make_next(the_root(), "P-256", TESTER, now)
    assert "Pins for OkHttp" in shown(ada, now)
    assert TrustBundle.objects.latest("version") != earlier
    assert "Pins for OkHttp" not in ada.get(page(earlier)).content.decode()
    assert ada.client.get(pins_file(earlier, Form.PINS_OKHTTP), secure=True).status_code == 404
