"""Logging in with a client certificate: by the key, while it stands, and by nothing else."""

from types import SimpleNamespace

import pytest
import time_machine
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.contrib.auth.models import User
from django.urls import reverse

from pki.core import csr
from pki.models import AuditEvent, Certificate, Device, LoginKey, Revocation
from pki.services.issuing import issuance
from pki.services.people import logins
from pki.services.revoking import revocation
from tests.console.browser import changelist
from tests.console.conftest import browser, staff
from tests.services.cast import DAY, TESTER, Gadget, change_state, everything, issue, registered


@pytest.fixture
def laptop(world, now):
    """Ada's laptop: a device with a key that logs the administrator in."""
    gadget = Gadget("laptop")
    issued, _ = issuance.issue(registered("laptop", now), csr.verify(gadget.csr), TESTER, now)
    logins.add_key(User.objects.get(username="admin"), issued.certificate, "Ada's other laptop", TESTER, now)
    return SimpleNamespace(gadget=gadget, certificate=issued.certificate)


def shows(certificate: Certificate | x509.Certificate | None):
    """A connection as `portal.tls` hands it over, whose handshake verified this certificate."""
    parsed = certificate.parsed if isinstance(certificate, Certificate) else certificate
    return {"gunicorn.socket": SimpleNamespace(peer_certificate=parsed)}


def login_page(stranger, certificate):
    return stranger.client.get(reverse("admin:login"), secure=True, **shows(certificate)).content.decode()


def log_in(stranger, certificate, **fields):
    return stranger.client.post(reverse("login_by_certificate"), fields, secure=True, **shows(certificate))


def look(stranger, certificate):
    return stranger.client.get(changelist(Device), secure=True, **shows(certificate)).status_code


def is_in(stranger):
    return "_auth_user_id" in stranger.client.session


def test_the_login_page_offers_it_and_a_post_logs_in(stranger, laptop):
    assert "Log in with your certificate (Ada&#x27;s other laptop)" in login_page(
        stranger, laptop.certificate
    )
    assert not is_in(stranger), "a GET does nothing"
    assert log_in(stranger, laptop.certificate)["Location"] == reverse("admin:index")
    assert look(stranger, laptop.certificate) == 200
    came = AuditEvent.objects.get(kind="login.succeeded")
    assert came.actor == "administrator:admin"


def test_a_get_logs_nobody_in_nor_does_a_page_of_somebody_else(unprotected, laptop):
    unprotected.client.logout()
    url = reverse("login_by_certificate")
    assert unprotected.client.get(url, secure=True, **shows(laptop.certificate)).status_code == 405
    assert log_in(unprotected, laptop.certificate).status_code == 403
    assert not is_in(unprotected)


def test_one_is_sent_on_to_where_one_wanted_but_not_to_another_site(stranger, laptop):
    assert log_in(stranger, laptop.certificate, next=changelist(Device))["Location"] == changelist(Device)
    for evil in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "http://testserver/"):
        assert log_in(stranger, laptop.certificate, next=evil)["Location"] == reverse("admin:index"), evil


def test_no_certificate_and_no_header_log_in(stranger, laptop):
    assert "Log in with your certificate" not in login_page(stranger, None)
    pem = laptop.certificate.parsed.public_bytes(Encoding.PEM).decode()
    for header in ("X_SSL_CLIENT_CERT", "CLIENT_CERT", "X_FORWARDED_TLS_CLIENT_CERT"):
        stranger.client.post(
            reverse("login_by_certificate"), {}, secure=True, **{f"HTTP_{header}": pem.replace("\n", " ")}
        )
        assert not is_in(stranger)


def test_a_certificate_whose_key_is_no_login_key_logs_nobody_in(stranger, laptop, world):
    assert "logs nobody in" in login_page(stranger, world.certificate)
    log_in(stranger, world.certificate)
    assert not is_in(stranger)


def test_another_certificate_with_the_administrators_names_logs_nobody_in(stranger, laptop, now):
    """An operator may issue for the administrator's own device: without its key it is worth nothing."""
    forged = issue(Device.objects.get(name="laptop"), now)
    assert forged.common_name == laptop.certificate.common_name
    log_in(stranger, forged)
    assert not is_in(stranger)


def test_a_later_certificate_for_the_same_key_logs_in(stranger, laptop, now):
    device = Device.objects.get(name="laptop")
    renewed, _ = issuance.issue(device, csr.verify(laptop.gadget.csr), TESTER, now)
    log_in(stranger, renewed.certificate)
    assert is_in(stranger)


def revoke(laptop, now):
    revocation.revoke([laptop.certificate], Revocation.Reason.SUPERSEDED, TESTER, now)


ENDED = {
    "revoked": revoke,
    "its device suspended": lambda laptop, now: change_state(
        Device.objects.get(name="laptop"), Device.State.SUSPENDED, now
    ),
    "its login key removed": lambda laptop, now: logins.remove_key(
        LoginKey.objects.get(spki_sha256=laptop.certificate.spki_sha256), TESTER, now
    ),
    "its user inactive": lambda laptop, now: User.objects.filter(username="admin").update(is_active=False),
    "its user no staff": lambda laptop, now: User.objects.filter(username="admin").update(is_staff=False),
}


@pytest.mark.parametrize("end", ENDED.values(), ids=ENDED)
def test_a_certificate_that_does_not_stand_logs_nobody_in_and_ends_its_session(stranger, laptop, now, end):
    log_in(stranger, laptop.certificate)
    assert look(stranger, laptop.certificate) == 200
    end(laptop, now)
    assert look(stranger, laptop.certificate) == 302
    assert not is_in(stranger)
    log_in(stranger, laptop.certificate)
    assert not is_in(stranger)


def test_an_expired_certificate_ends_its_session(stranger, laptop, now):
    log_in(stranger, laptop.certificate)
    session = stranger.client.session
    session.set_expiry(365 * 86400)
    session.save()
    with time_machine.travel(now + 31 * DAY):
        assert look(stranger, laptop.certificate) == 302


def test_a_session_goes_with_its_key_and_with_no_other(stranger, laptop, world):
    for other in (None, world.certificate, world.other):
        log_in(stranger, laptop.certificate)
        assert look(stranger, laptop.certificate) == 200
        assert look(stranger, other) == 302
        assert not is_in(stranger), "and does not come back"


def test_a_key_that_was_compromised_in_any_certificate_logs_nobody_in(stranger, laptop, now):
    device = Device.objects.get(name="laptop")
    renewed, _ = issuance.issue(device, csr.verify(laptop.gadget.csr), TESTER, now)
    revocation.revoke([laptop.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    log_in(stranger, renewed.certificate)
    assert not is_in(stranger)


def test_a_session_by_password_asks_for_no_certificate(ada, laptop, world):
    for shown in (None, world.certificate, laptop.certificate):
        assert look(ada, shown) == 200


def test_a_lockout_of_passwords_does_not_keep_the_certificate_out(stranger, laptop):
    for _ in range(settings.PORTAL_LOGIN_FAILURES):
        stranger.post(reverse("admin:login"), username="admin", password="wrong")
    log_in(stranger, laptop.certificate)
    assert is_in(stranger)


def test_who_has_a_key_and_no_password_proves_it_by_the_certificate(stranger, laptop, world, now):
    admin = User.objects.get(username="admin")
    admin.set_unusable_password()
    admin.save()
    fields = {"action": "remove_selected", "_selected_action": [world_key().pk], "index": "0"}

    def remove(shown, **more):
        return stranger.client.post(changelist(LoginKey), {**fields, **more}, secure=True, **shows(shown))

    with time_machine.travel(now, tick=False) as clock:
        log_in(stranger, laptop.certificate)
        clock.shift(settings.PORTAL_RECENT_LOGIN_SECONDS + 1)
        asked = remove(laptop.certificate).content.decode()
        assert "certificate_again" in asked
        assert "password_again" not in asked
        assert remove(laptop.certificate, confirmed="yes").status_code == 200
        assert LoginKey.objects.count() == 2
        assert remove(laptop.certificate, confirmed="yes", certificate_again="on").status_code == 302
    assert LoginKey.objects.count() == 1


def world_key():
    return LoginKey.objects.get(name="Ada's laptop")


def test_who_has_a_password_too_is_asked_for_it(stranger, laptop, now):
    with time_machine.travel(now, tick=False) as clock:
        log_in(stranger, laptop.certificate)
        clock.shift(settings.PORTAL_RECENT_LOGIN_SECONDS + 1)
        asked = stranger.client.post(
            changelist(LoginKey),
            {"action": "remove_selected", "_selected_action": [world_key().pk], "index": "0"},
            secure=True,
            **shows(laptop.certificate),
        ).content.decode()
    assert "password_again" in asked
    assert "certificate_again" not in asked


# --- Managing the keys ----------------------------------------------------------------------------


def add_key_url(user):
    return f"{changelist(User)}{user.pk}/add-login-key/"


def writings(certificate):
    serial = certificate.serial
    return {
        "PEM": certificate.parsed.public_bytes(Encoding.PEM).decode(),
        "fingerprint": certificate.fingerprint,
        "fingerprint with colons": ":".join(
            certificate.fingerprint[at : at + 2].upper() for at in range(0, 64, 2)
        ),
        "serial": serial.upper(),
    }


@pytest.mark.parametrize("writing", ["PEM", "fingerprint", "fingerprint with colons", "serial"])
def test_a_superuser_adds_a_key_by_any_writing_of_its_certificate(ada, world, writing):
    bob = staff("bob")
    asked = ada.get(add_key_url(bob))
    assert asked.status_code == 200
    words = writings(world.certificate)[writing]
    answered = ada.confirm(asked, add_key_url(bob), certificate=words, name="Bob's phone")
    assert answered.status_code == 302
    key = LoginKey.objects.get(user=bob)
    assert (key.spki_sha256, key.created_by) == (world.certificate.spki_sha256, "administrator:admin")
    event = AuditEvent.objects.get(kind="login_key.added", certificate=world.certificate)
    assert event.detail["user"] == "bob"


def test_what_is_no_good_certificate_is_told_and_the_form_is_kept(ada, world, now):
    bob = staff("bob")
    listener = Certificate.objects.exclude(listener="").first()
    before = everything()
    for words in (
        "",
        "nonsense",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        "f" * 64,
        world.doomed.fingerprint,
        listener.fingerprint,
    ):
        asked = ada.get(add_key_url(bob))
        answered = ada.confirm(asked, add_key_url(bob), certificate=words, name="Bob's phone")
        assert answered.status_code == 200, words
        assert answered.context["forms"][0].errors["certificate"], words
        assert "Bob&#x27;s phone" in answered.content.decode()
    assert everything() == before


def test_a_key_logs_in_one_user_and_only_staff(ada, world):
    bob, walt = staff("bob"), User.objects.create_user("walt")
    for user, certificate in ((bob, world.other), (walt, world.certificate)):
        ada.confirm(
            ada.get(add_key_url(user)), add_key_url(user), certificate=certificate.fingerprint, name="x"
        )
        assert not LoginKey.objects.filter(user=user).exists()


@pytest.mark.parametrize("permissions", [(), ("add_loginkey", "change_loginkey", "view_loginkey")])
def test_nobody_but_a_superuser_adds_or_removes_a_key(world, permissions):
    person = browser(staff("bob", *permissions))
    before = everything()
    url = add_key_url(User.objects.get(username="admin"))
    assert person.get(url).status_code == 403
    assert (
        person.post(url, confirmed="yes", certificate=world.certificate.fingerprint, name="x").status_code
        == 403
    )
    person.act(LoginKey, "remove_selected", LoginKey.objects.get(), confirmed="yes")
    assert everything() == before
