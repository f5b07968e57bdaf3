"""Who has a list already is told so, and who has an older one never is, by ETag and by date."""

from datetime import datetime, timedelta

import pytest
import time_machine
from cryptography import x509
from django.utils.http import http_date, parse_http_date

from pki.models import Certificate, Revocation
from pki.services.revoking import revocation
from tests.endpoints.problems import assert_problem
from tests.services.cast import TESTER, issue, registered
from tests.services.lists import publish

# The list is fetched, then made anew, then asked for again; each so long after the one before.
APART = timedelta(seconds=2)


@pytest.fixture
def certificate(ca, now) -> Certificate:
    certificate = issue(registered("door-1", now), now)
    publish(now)
    return certificate


@pytest.fixture(params=["{}.crl", "{}.pem", "{}/1.crl", "{}/delta.crl"])
def path(request, certificate) -> str:
    return "/crl/" + request.param.format(certificate.issuer.key_identifier)


def asked(status, path: str, at: datetime, **headers: str):
    with time_machine.travel(at, tick=False):
        return status.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def revoke(certificate: Certificate, now: datetime) -> None:
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    publish(now)


def serials(response) -> list[int]:
    assert response.status_code == 200
    pem = response["Content-Type"] == "application/x-pem-file"
    load = x509.load_pem_x509_crl if pem else x509.load_der_x509_crl
    return [entry.serial_number for entry in load(response.content)]


def test_who_sends_the_date_of_the_list_is_told_that_it_is_the_same(status, path, now):
    first = asked(status, path, now)
    again = asked(status, path, now + APART, If_Modified_Since=first["Last-Modified"])
    assert (again.status_code, again.content) == (304, b"")


def test_who_sends_the_date_of_an_older_list_is_sent_the_new_one(status, path, certificate, now):
    first = asked(status, path, now)
    revoke(certificate, now + APART)
    again = asked(status, path, now + 2 * APART, If_Modified_Since=first["Last-Modified"])
    assert serials(again) == [certificate.parsed.serial_number]


def test_who_sends_when_it_fetched_an_older_list_is_sent_the_new_one(status, path, certificate, now):
    """As `curl -z file` does. The new list says that it is older than that: CRLs are dated back."""
    asked(status, path, now)
    revoke(certificate, now + APART)
    fetched_at = http_date((now + APART / 2).timestamp())
    again = asked(status, path, now + 2 * APART, If_Modified_Since=fetched_at)
    assert serials(again) == [certificate.parsed.serial_number]


def test_who_has_a_list_of_a_clock_that_was_ahead_is_sent_the_new_one(status, path, certificate, now):
    ahead = now + timedelta(days=1)
    revoke(certificate, ahead)
    wrong = asked(status, path, ahead)
    publish(now)
    for headers in (
        {"If_Modified_Since": wrong["Last-Modified"]},
        {"If_None_Match": wrong["ETag"]},
    ):
        right = asked(status, path, now, **headers)
        assert right.status_code == 200
        assert parse_http_date(right["Last-Modified"]) <= now.timestamp()


def test_all_lists_in_one_file_go_by_their_etag_alone(status, certificate, now):
    """Lists of two issuers may be made in one second, and this file be fetched in between."""
    first = asked(status, "/crl/all.pem", now)
    by_date = asked(status, "/crl/all.pem", now, If_Modified_Since=first["Last-Modified"])
    assert (by_date.status_code, by_date.content) == (200, first.content)
    assert asked(status, "/crl/all.pem", now, If_None_Match=first["ETag"]).status_code == 304
    revoke(certificate, now + APART)
    assert asked(status, "/crl/all.pem", now + APART, If_None_Match=first["ETag"]).status_code == 200


EARLIER = "Sat, 01 Jan 2000 00:00:00 GMT"


@pytest.mark.parametrize("header", [{"If_Match": '"zzz"'}, {"If_Unmodified_Since": EARLIER}], ids=str)
def test_who_wants_another_version_than_there_is_gets_a_problem(status, path, now, header):
    assert_problem(asked(status, path, now, **header), 412, "precondition_failed")


def test_who_wants_the_version_that_there_is_gets_it(status, path, now):
    first = asked(status, path, now)
    for header in ({"If_Match": first["ETag"]}, {"If_Unmodified_Since": first["Last-Modified"]}):
        assert asked(status, path, now + APART, **header).content == first.content
