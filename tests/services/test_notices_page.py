"""docs/notices.md works as it stands: what a receiver is told to do finds true what is sent."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pki.core import destinations, expiry
from pki.services.telling import deliveries, events, kinds, notices, webhooks
from tests.clients import needs
from tests.core.cast import DAY
from tests.services.cast import TESTER
from tests.services.receivers import Receiver

PAGE = (Path(__file__).resolve().parent.parent.parent / "docs" / "notices.md").read_text()


def block(language, beginning):
    """The one block of code that begins so."""
    (found,) = re.findall(rf"```{language}\n({re.escape(beginning)}.*?)```", PAGE, re.S)
    return found


@pytest.fixture
def sent(db, now, settings):
    """A secret, and a POST that was signed by it."""
    settings.PORTAL_WEBHOOK_NETWORKS = destinations.networks("127.0.0.1")
    with Receiver().listening() as receiver:
        hook = webhooks.add("ops", receiver.url(), [], TESTER, now)
        notices.tell("certificate.revoked", "Something happened to “Tür 1”.", now, names=["door-1"])
        deliveries.send_due(now)
        (post,) = receiver.posts
    return webhooks.secret_of(hook), post


def test_the_lines_of_python_verify_it_and_nothing_else(sent):
    secret, post = sent
    page = {}
    exec(block("python", "import base64"), page)  # noqa: S102  what the page says, to be tried
    verified = page["verified"]
    assert verified(secret, post.headers, post.body) == post.body
    for wrong in (
        (secret, post.headers, post.body + b" "),
        (secret, post.headers | {"webhook-id": "another"}, post.body),
        (secret, post.headers | {"webhook-timestamp": "1"}, post.body),
        ("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", post.headers, post.body),
    ):
        with pytest.raises(ValueError, match="not signed by Hatchery"):
            verified(*wrong)


def test_the_lines_of_shell_verify_it_and_nothing_else(sent, tmp_path):
    needs("openssl", package="openssl")
    secret, post = sent
    (tmp_path / "body").write_bytes(post.body)
    given = {
        "PATH": os.environ["PATH"],
        "SECRET": secret,
        "ID": post.headers["webhook-id"],
        "TIMESTAMP": post.headers["webhook-timestamp"],
        "SIGNATURE": post.headers["webhook-signature"],
    }

    def says(**other):
        lines = block("sh", "KEY=")
        done = subprocess.run(
            ["sh", "-c", lines], cwd=tmp_path, env=given | other, capture_output=True, timeout=60
        )
        return done.stdout.decode().strip()

    assert says() == "verified"
    assert says(ID="another") == ""


def test_every_kind_has_its_line():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    named = {kind for row in rows for kind in re.findall(r"`([a-z_]+\.[a-z_]+)`", row.split("|")[1])}
    assert named == {*kinds.KINDS, kinds.TEST}


@pytest.mark.parametrize("kind", [*events.DEEDS, *events.REFUSALS])
def test_the_fields_of_a_kind_are_those_that_are_sent(kind, now):
    (row,) = (line for line in PAGE.splitlines() if line.startswith("| `") and f"`{kind}`" in line)
    telling = {**events.DEEDS, **events.REFUSALS}[kind]
    event = {"at": now, "count": 1, "detail": {}, "device__name": "door", "actor": "a", "address": None}
    group = telling.group_of(event)
    group.add(event)
    assert set(re.findall(r"`([a-z_]+)`", row.split("|")[4])) == set(telling.detail(group))


@pytest.mark.parametrize(
    ("life", "told"), [(365, [1, 7, 30]), (90, [1, 7, 15]), (30, [1, 5]), (7, [1, 7 / 3]), (1, [1 / 3])]
)
def test_the_table_of_lives_is_true(life, told):
    assert [lead / DAY for _, lead in expiry.lead_times([30, 7, 1], life * DAY)] == pytest.approx(told)
