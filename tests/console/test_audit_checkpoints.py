"""How far the audit trail is proven, as the console shows it."""

import base64
import html
import re
from datetime import timedelta

import pytest

from pki.core import audit_proof
from pki.models import AuditCheckpoint, AuditEvent
from pki.services import audit
from pki.services.auditing import exporting, sealing, signers
from pki.services.looking import audit_standing
from tests.console.browser import changelist, page
from tests.services.cast import DAY, TESTER, registered

DASHBOARD = "/admin/"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def sealed(ca, now):
    at = now - 30 * MINUTE
    for _ in range(2):  # the second one seals that a key was made
        sealing.seal(at)
    return at


def shown(browser):
    return " ".join(browser.get(changelist(AuditCheckpoint)).content.decode().split())


def warnings(browser):
    """Those of the audit trail."""
    found = (warning.sentence for warning in browser.get(DASHBOARD).context["warnings"])
    return [sentence for sentence in found if "audit trail" in sentence]


def test_the_list_says_what_is_proven_and_what_is_not_yet(ada, sealed, now):
    number, events = AuditCheckpoint.objects.count(), AuditEvent.objects.count()
    assert f"Checkpoint {number} of" in shown(ada)
    assert f"proves {events} events. Not sealed yet: 0. Sealed and not signed yet: 0." in shown(ada)
    registered("door", now)
    assert "Not sealed yet: 1." in shown(ada)


def test_before_the_first_one_it_says_so_and_warns_of_nothing(ada):
    assert "Not signed yet" in shown(ada)
    assert not warnings(ada)


def test_a_page_has_the_statement_its_signature_and_the_public_key(ada, sealed):
    row = AuditCheckpoint.objects.select_related("signer").first()
    text = ada.get(page(row)).content.decode()
    assert "hatchery audit checkpoint 1" in text
    assert signers.pem(row.signer) in text


def copied(text, name):
    """What the Copy button of that name copies."""
    (found,) = re.findall(rf'<pre [^>]*id="{name}"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert f'data-copies="{name}"' in text
    return html.unescape(found)


def test_the_line_of_a_page_is_what_an_export_is_held_against(ada, sealed, tmp_path, capsys):
    """Pasted into a file of Windows, too."""
    row = AuditCheckpoint.objects.select_related("signer").first()
    text = ada.get(page(row)).content.decode()
    (tmp_path / "checkpoint.jsonl").write_bytes(copied(text, "line").encode() + b"\r\n")
    (tmp_path / "audit.pem").write_text(copied(text, "key"))
    (tmp_path / "export.jsonl").write_bytes(b"".join(exporting.lines(sealed)))
    export, key, noted = (str(tmp_path / name) for name in ("export.jsonl", "audit.pem", "checkpoint.jsonl"))
    assert audit_proof.main([export, "--public-key", key, "--noted", noted]) == 0
    assert base64.b64decode(copied(text, "signature")) == bytes(row.signature)


def test_a_trail_that_is_not_signed_for_long_is_a_warning(ada, sealed, now):
    assert not warnings(ada)
    registered("door", now - 20 * MINUTE)
    (warned,) = warnings(ada)
    assert warned.startswith("The audit trail was signed last at")
    assert "Not signed for too long" in shown(ada)
    sealing.seal(now)
    assert not warnings(ada)


def test_a_checkpoint_by_a_clock_that_was_ahead_hides_no_silence(ada, sealed, now):
    sealing.seal(now + 30 * timedelta(hours=1))
    assert not warnings(ada)
    registered("door", now - 20 * MINUTE)
    (warned,) = warnings(ada)
    assert warned.startswith("The audit trail was signed last at")
    sealing.seal(now)
    assert not warnings(ada)


def test_what_happened_just_now_is_no_warning(ada, sealed, now):
    registered("door", now)
    assert not warnings(ada)


def test_more_than_are_looked_at_are_said_to_be_more(ada, sealed, now, monkeypatch):
    monkeypatch.setattr(audit_standing, "MOST_LOOKED_AT", 2)
    for name in ("door", "gate", "lamp"):
        registered(name, now)
    assert "Not sealed yet: 2+." in shown(ada)


def test_an_end_that_was_missing_is_a_warning_for_a_month(ada, sealed, now):
    audit.record("audit.cut_off", TESTER, now - 29 * DAY, checkpoint=7, signed_at="2026-05-01", events=9)
    (warned, *_) = warnings(ada)
    assert "checkpoint 7 was signed here, and the database had it no more" in warned
    assert audit_standing.cut_off(now + 2 * DAY) is None


def test_who_may_not_see_the_audit_log_is_not_warned_of_it(newcomer, sealed, now):
    audit.record("audit.cut_off", TESTER, now, checkpoint=7, signed_at="2026-05-01", events=9)
    assert not warnings(newcomer)
