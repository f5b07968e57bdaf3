"""`manage.py withdraw_standby_key`: a backup pin leaves the trust bundle."""

import pytest

from pki.core import pins
from pki.models import StandbyKey
from pki.services.trusting import bundle, standby_keys
from tests.services.cast import SECOND
from tests.shell.words import fails, prints


@pytest.fixture
def key(ca, now):
    bundle.publish_due(now)
    return standby_keys.waiting().get(purpose=standby_keys.ROOT)


@pytest.mark.parametrize(
    "write",
    [
        str,
        str.upper,
        lambda digest: ":".join(digest[at : at + 2] for at in range(0, 64, 2)),
        pins.as_base64,
        lambda digest: f"sha256//{pins.as_base64(digest)}",
    ],
    ids=["hex", "capitals", "colons", "base64", "as curl takes it"],
)
def test_its_pin_leaves_the_bundle_and_another_takes_its_place(key, now, write):
    said = pins.as_base64(key.spki_sha256)
    assert f"# pin root backup sha256//{said}" in bundle.current(now).contents
    assert "Withdrew a key for root" in prints("withdraw_standby_key", write(key.spki_sha256))
    assert bundle.publish_due(now + SECOND)
    contents = bundle.current(now + SECOND).contents
    assert said not in contents
    assert "# pin root backup sha256//" in contents


@pytest.mark.parametrize("pin", ["", "x", "sha256//", "sha256//AAAA", "ü" * 44, "00" * 31])
def test_what_is_no_pin_is_said_to_be_none(key, pin):
    assert "is no pin" in fails("withdraw_standby_key", pin)
    assert not StandbyKey.objects.exclude(withdrawn_at=None).exists()


def test_a_pin_that_is_not_waiting_is_refused(key):
    assert "No standby key has the pin" in fails("withdraw_standby_key", "00" * 32)
