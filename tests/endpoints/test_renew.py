"""`/renew` and `/renewal-info`, and the hints of `/secure` and `/whoami`, on the wire but for the wire."""

from datetime import datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from pki.core import csr
from pki.models import AuditEvent, Certificate, Device, Renewal, Revocation
from pki.services.fleet import rotation
from pki.services.proving import status
from pki.services.renewing import refusals, renewal, windows
from pki.services.renewing.refusals import RefusedRenewalLog
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.endpoints.problems import assert_problem
from tests.services.cast import DAY, SECOND, TESTER, change_state
from tests.services.renewing_cast import Fielded, set_profile


@pytest.fixture(autouse=True)
def _nothing_is_folded(monkeypatch):
    monkeypatch.setattr(refusals, "REFUSED_RENEWALS", RefusedRenewalLog())


@pytest.fixture
def door(ca, now):
    return Fielded.enrolled("door-1", now)


@pytest.fixture
def device(door):
    return DeviceClient(door.certificate)


def moments(window):
    return [datetime.fromisoformat(window[end]) for end in ("start", "end")]


def test_the_answer_is_the_certificate_and_its_chain_as_after_an_enrollment(door, device):
    after = door.next
    answer = device.post("/renew", after.csr)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/x-pem-file")
    assert answer["Cache-Control"] == "no-store"
    certificate, issuer = x509.load_pem_x509_certificates(answer.content)
    assert certificate.public_key() == after.key.public_key()
    certificate.verify_directly_issued_by(issuer)
    assert DeviceClient(Certificate.objects.latest("pk")).get("/secure").status_code == 200
    assert device.get("/secure").status_code == 200


def test_renewal_info_is_of_rfc_9773s_shape(door, device):
    answer = device.get("/renewal-info")
    assert answer.status_code == 200
    assert answer.json().keys() == {"suggestedWindow"}
    start, end = moments(answer.json()["suggestedWindow"])
    hint = windows.of_certificate(door.certificate, timezone.now())
    assert start == hint.window.start.replace(microsecond=0)
    assert end == hint.window.end.replace(microsecond=0)
    assert timezone.now() < start < end < door.certificate.not_after
    assert answer["Retry-After"] == str(hint.ask_again_in)


def test_secure_and_whoami_say_the_same(door, device):
    told = device.get("/renewal-info").json()
    assert device.get("/secure").json()["renewal"] == {**told, "asked": False}
    assert device.get("/whoami").json()["renew_at"] == told["suggestedWindow"]["start"]


def test_who_is_asked_finds_its_window_past(door, device, now):
    rotation.request(door.device, TESTER, now)
    _, end = moments(device.get("/renewal-info").json()["suggestedWindow"])
    assert end <= now
    assert device.get("/secure").json()["renewal"]["asked"] is True


@pytest.mark.parametrize("path", ["/secure", "/renewal-info", "/whoami"])
def test_a_device_that_only_asks_costs_one_query(device, path):
    device.get(path)
    with CaptureQueriesContext(connection) as queries:
        assert device.get(path).status_code == 200
    assert len(queries) == 1, [query["sql"] for query in queries]


def its_own_key(door):
    return door.csr


def another_name(door):
    return make_csr("gate-1")


def nothing_at_all(door):
    return b""


def text(door):
    return b"hello"


def a_private_key(door):
    return b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"


def too_much(door):
    return b"x" * (csr.LARGEST_CSR + 1)


BODIES = {
    "its own key": (its_own_key, 403, "same_key_refused"),
    "another name": (another_name, 403, "name_mismatch"),
    "nothing": (nothing_at_all, 400, "csr_missing"),
    "text": (text, 400, "csr_not_pem"),
    "a private key": (a_private_key, 400, "private_key_sent"),
    "too much": (too_much, 413, "body_too_large"),
}


@pytest.mark.parametrize(("body", "status_code", "code"), BODIES.values(), ids=BODIES)
def test_what_cannot_be_renewed_is_a_problem_and_on_record(door, device, body, status_code, code):
    assert_problem(device.post("/renew", body(door)), status_code, code)
    event = AuditEvent.objects.get(kind="renewal.refused")
    assert (event.device, event.certificate, event.detail["code"]) == (door.device, door.certificate, code)
    assert not Renewal.objects.exists()


def test_who_renews_too_often_is_told_when_to_come_again(door, device):
    for _ in range(renewal.MOST):
        assert device.post("/renew", door.next.csr).status_code == 200
    answer = device.post("/renew", door.next.csr)
    assert_problem(answer, 429, "too_many_renewals")
    assert 0 < int(answer["Retry-After"]) <= 86400


def revoked(certificate, now):
    revocation.revoke([certificate], Revocation.Reason.UNSPECIFIED, TESTER, now)


def suspended(certificate, now):
    change_state(certificate.device, Device.State.SUSPENDED, now)


@pytest.mark.parametrize(
    ("happens", "code"), [(revoked, "certificate_revoked"), (suspended, "device_suspended")]
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/renew"), ("GET", "/renewal-info")])
def test_whose_certificate_does_not_stand_is_told_so(door, device, now, happens, code, method, path):
    happens(door.certificate, now)
    assert_problem(device.generic(method, path, door.next.csr), 403, code)
    assert not Renewal.objects.exists()


@pytest.fixture
def late(ca, now):
    """A client whose certificate has ended an hour ago, under a profile that gives two."""
    set_profile(grace_hours=2, lifetime_seconds=86400)
    sleeper = Fielded.enrolled("sleeper-1", now)
    with time_machine.travel(now + DAY + timedelta(hours=1)):
        yield sleeper, DeviceClient(sleeper.certificate)


@pytest.mark.parametrize("path", ["/secure", "/whoami"])
def test_who_is_late_may_do_nothing_but_renew(late, path):
    _, client = late
    assert_problem(client.get(path), 403, "certificate_expired")


def test_who_is_late_learns_that_it_is_and_renews(late):
    sleeper, client = late
    _, end = moments(client.get("/renewal-info").json()["suggestedWindow"])
    assert end < timezone.now()
    assert client.post("/renew", sleeper.next.csr).status_code == 200
    assert DeviceClient(Certificate.objects.latest("pk")).get("/secure").status_code == 200


def test_without_grace_who_is_late_may_not_even_renew(late):
    sleeper, client = late
    set_profile(grace_hours=0)
    for answer in (client.post("/renew", sleeper.next.csr), client.get("/renewal-info")):
        assert_problem(answer, 403, "certificate_expired")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_renewing_is_a_post(device, method):
    answer = device.generic(method, "/renew")
    assert_problem(answer, 405, "method_not_allowed")
    assert answer["Allow"] == "POST"


@pytest.mark.parametrize(("method", "path"), [("POST", "/renew"), ("GET", "/renewal-info")])
def test_nobody_renews_without_a_certificate(ca, method, path):
    assert_problem(ListenerClient("secure").generic(method, path), 403, "client_certificate_missing")


@pytest.mark.parametrize("listener", ["hello", "provisioning", "status"])
@pytest.mark.parametrize("path", ["/renew", "/renewal-info"])
def test_other_listeners_know_nothing_of_it(ca, listener, path):
    assert_problem(ListenerClient(listener).get(path), 404, "not_found")


def test_without_a_database_it_is_to_come_again(device, door, monkeypatch):
    def fails(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(status, "renewable", fails)
    answer = device.post("/renew", door.next.csr)
    assert_problem(answer, 503, "unavailable")
    assert answer["Retry-After"] == "60"


def test_a_window_of_hours_is_asked_after_more_often(ca, now):
    set_profile(lifetime_seconds=6 * 3600)
    client = DeviceClient(Fielded.enrolled("door-1", now).certificate)
    answer = client.get("/renewal-info")
    start, end = moments(answer.json()["suggestedWindow"])
    # RFC 3339 to the second: what is cut off is less than that.
    assert now + timedelta(hours=3) - SECOND <= start < end <= now + timedelta(hours=4)
    assert 6 * 3600 / 24 * 7 / 8 - 1 <= int(answer["Retry-After"]) <= 6 * 3600 / 24 * 9 / 8
