"""Lines of the pages that call `manage.py`, typed as they stand there, each where it makes sense."""

import re
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.core.management import ManagementUtility

from pki.models import Certificate, Device, Issuer, Profile
from pki.services.issuing import authorities
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.docs.blocks import block, commands
from tests.services.cast import DAY, TESTER, issue, registered

PAGES = [
    ("README.md", ".venv/bin/python manage.py revoke"),
    ("README.md", ".venv/bin/python manage.py issue_token"),
    ("docs/campaigns.md", ".venv/bin/python manage.py campaign draft spring"),
    ("docs/campaigns.md", ".venv/bin/python manage.py campaign draft now"),
    ("docs/notices.md", ".venv/bin/python manage.py maintain"),
    ("docs/operating.md", ".venv/bin/python manage.py revoke"),
    ("docs/operating.md", ".venv/bin/python manage.py unlock"),
]
# What asks a person, or copies a whole installation: typed with the page that is about it.
WITH_A_PAGE_OF_ITS_OWN = ("backup", "change_passphrase", "changepassword")


def on_record(name: str, now: datetime) -> Device:
    return Device.objects.filter(name=name).first() or registered(name, now)


def holder(words: list[str], now: datetime) -> Certificate:
    """The living certificate that a line is about, made if need be."""
    name = words[words.index("--device") + 1] if "--device" in words else "door-1"
    device = on_record(name, now)
    living = list(revocation.living(device, now))
    return living[0] if living else issue(device, now)


def two_issuers(now: datetime) -> None:
    """Those of docs/campaigns.md, and a device of the first."""
    if Issuer.objects.filter(name="Hatchery Issuing CA 2").exists():
        return
    root = Issuer.objects.get(parent=None)
    first = authorities.make_subordinate("Hatchery Issuing CA", root, "P-256", TESTER, now)
    Profile.objects.filter(name="device").update(issuer=first)
    issue(on_record("door-1", now), now)
    authorities.make_subordinate("Hatchery Issuing CA 2", root, "P-256", TESTER, now)


def prepared(words: list[str], now: datetime) -> list[str]:
    """The words of a line, with what it takes for granted made: a device, a file, two issuers."""
    match words[0]:
        case "revoke" | "lift_hold" if "--serial" in words:
            words[words.index("--serial") + 1] = holder(words, now).serial
        case "revoke":
            holder(words, now)
        case "issue":
            with open(words[words.index("--csr") + 1], "wb") as file:
                file.write(make_csr("door-1"))
        case "campaign":
            two_issuers(now)
            if "--keys-before" in words:  # which the key of a moment ago is not
                words[words.index("--keys-before") + 1] = f"{now + DAY:%Y-%m-%d}"
    return words


@contextmanager
def ended_in_time(words: list[str]) -> Iterator[None]:
    """Let SIGTERM come to a command that goes on until then."""
    if "--every" not in words:
        yield
        return
    # To this thread alone, and held back until it is asked for: others would end this process of the tests.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Timer(0.5, signal.pthread_kill, (threading.get_ident(), signal.SIGTERM)).start()
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("path", "beginning"), PAGES)
def test_the_lines_of_a_page_work_as_written(ca, path, beginning, now, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = 0
    for line in commands(block(path, beginning)):
        words = shlex.split(re.sub(r"^\S*python manage\.py ", "", line))
        if words[0] in WITH_A_PAGE_OF_ITS_OWN:
            continue
        with ended_in_time(words):
            # A command that fails ends with a status.
            ManagementUtility(["manage.py", *prepared(words, now)]).execute()
        typed += 1
    assert typed > 0
