"""The demo's files are there, good, and made anew only when they are not."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key, pkcs12

from pki.core import pins
from pki.models import Certificate, Device, EnrollmentToken, Issuer, Profile, Revocation
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from pki.services.issuing import demo, listener_certificates
from pki.services.revoking import revocation
from tests.services.cast import DAY, SECOND, TESTER, Gadget, change_state, everything


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """PKCS#12 that is made to resist guessing takes most of these tests' time."""
    monkeypatch.setattr(demo.bundles, "PKCS12_ROUNDS", 1000)


@pytest.fixture
def folder(ca):
    return ca / "demo"


@pytest.fixture
def made(folder, now):
    demo.make(folder, TESTER, now)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def client(folder):
    """The stored certificate of the file."""
    certificate = x509.load_pem_x509_certificate((folder / "client.pem").read_bytes())
    return Certificate.objects.get(fingerprint=pins.fingerprint_of(certificate))


def test_the_files_are_those_of_the_walk(made):
    assert set(contents(made)) == {
        "ca.pem",
        "ca-chain.pem",
        "client.pem",
        "client.key",
        "client.p12",
        "token",
    }
    root, issuing = Issuer.objects.get(parent=None), Issuer.objects.get(parent__isnull=False)
    assert x509.load_pem_x509_certificates((made / "ca.pem").read_bytes()) == [root.certificate]
    assert x509.load_pem_x509_certificates((made / "ca-chain.pem").read_bytes()) == [
        issuing.certificate,
        root.certificate,
    ]


def test_the_clients_key_belongs_to_its_certificate_in_both_forms(made):
    stored = client(made).parsed
    key = load_pem_private_key((made / "client.key").read_bytes(), None)
    assert key.public_key() == stored.public_key()
    bundle = pkcs12.load_pkcs12((made / "client.p12").read_bytes(), b"demo")
    assert bundle.cert.certificate == stored
    assert bundle.key.private_numbers() == key.private_numbers()


def test_the_files_are_for_their_owner_alone(made):
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o600}


def test_the_token_is_good_for_ten_new_devices_of_any_name_for_a_day(made, now):
    secret = (made / "token").read_text().strip()
    for number in range(10):
        assert Gadget(f"device-{number}").enroll(secret, now).certificate
    with pytest.raises(tokens.TokenInvalid):
        Gadget("device-10").enroll(secret, now)
    token = EnrollmentToken.objects.get(digest=tokens.digest(secret))
    assert token.expires_at == now + DAY


def test_a_second_run_changes_nothing(made, now):
    files, rows = contents(made), everything()
    demo.make(made, TESTER, now + SECOND)
    assert contents(made) == files
    assert everything() == rows


def renewal(certificate):
    return certificate.not_after - (certificate.not_after - certificate.not_before) / 3


def test_a_worn_out_client_certificate_is_renewed_and_not_before(made, now):
    first = client(made)
    demo.make(made, TESTER, renewal(first) - SECOND)
    assert client(made) == first
    later = renewal(first) + SECOND
    demo.make(made, TESTER, later)
    assert client(made) != first
    assert client(made).not_after > later


@pytest.mark.parametrize("file", ["client.pem", "client.key", "client.p12"])
def test_a_file_that_is_missing_is_made_again_with_those_that_belong_to_it(made, now, file):
    (made / file).unlink()
    demo.make(made, TESTER, now)
    key = load_pem_private_key((made / "client.key").read_bytes(), None)
    assert key.public_key() == client(made).parsed.public_key()


DAMAGE = {"empty": b"", "no PEM": b"hello", "of another installation": None}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_client_certificate_is_replaced(made, now, damage):
    # Another installation's: its certificate is not on record here. Our root's is not either.
    (made / "client.pem").write_bytes(damage if damage is not None else (made / "ca.pem").read_bytes())
    demo.make(made, TESTER, now)
    assert client(made).device.name == demo.DEVICE


@pytest.mark.parametrize("file", ["ca.pem", "ca-chain.pem"])
def test_a_root_file_that_was_changed_is_put_right(made, now, file):
    before = (made / file).read_bytes()
    (made / file).write_bytes(b"something else")
    demo.make(made, TESTER, now)
    assert (made / file).read_bytes() == before


def test_a_revoked_client_certificate_stays_revoked(made, now):
    first = client(made)
    revocation.revoke([first], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    demo.make(made, TESTER, now + SECOND)
    assert client(made) == first
    assert Certificate.objects.filter(device__name=demo.DEVICE).count() == 1


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_demo_device_that_is_not_active_gets_nothing_new(made, now, state):
    first = client(made)
    change_state(first.device, state, now)
    demo.make(made, TESTER, renewal(first) + SECOND)
    assert client(made) == first


def used_up(folder, now):
    secret = (folder / "token").read_text().strip()
    EnrollmentToken.objects.filter(digest=tokens.digest(secret)).update(uses=10)
    return now


def expired(folder, now):
    return now + DAY


def cancelled(folder, now):
    secret = (folder / "token").read_text().strip()
    tokens.cancel(tokens.find(secret, now), TESTER, now)
    return now


def missing(folder, now):
    (folder / "token").unlink()
    return now


def damaged(folder, now):
    (folder / "token").write_bytes(b"\xff\xfe")
    return now


@pytest.mark.parametrize("over", [used_up, expired, cancelled, missing, damaged])
def test_a_token_file_that_is_over_is_replaced(made, now, over):
    later = over(made, now)
    demo.make(made, TESTER, later)
    secret = (made / "token").read_text().strip()
    assert Gadget("device-1").enroll(secret, later).certificate


@pytest.mark.parametrize("change", [{"key_kinds": ["RSA"]}, {"extended_key_usages": ["serverAuth"]}])
def test_a_profile_that_the_demo_does_not_fit_does_not_stop_the_start(ca, folder, now, change):
    """The demo is an extra; an administrator may set the default profile to anything that is allowed."""
    Profile.objects.filter(name=devices.DEFAULT_PROFILE).update(**change)
    demo.make(folder, TESTER, now)
    assert (folder / "ca.pem").exists()


def test_the_demo_leaves_the_listeners_alone(ca, folder, now):
    before = listener_certificates.current("hello", now)
    demo.make(folder, TESTER, now)
    assert listener_certificates.current("hello", now) == before
