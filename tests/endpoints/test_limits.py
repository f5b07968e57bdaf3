"""Limits as a client sees them: 429, how long to wait, and for whom an address counts."""

import pytest

from pki.core import proxies
from pki.services.enrolling import refusals
from pki.services.enrolling.limited import LimitedLog
from tests.clients import make_csr
from tests.endpoints.conftest import DeviceClient
from tests.endpoints.problems import assert_problem
from tests.services.cast import pattern_token
from tests.services.renewing_cast import Fielded


@pytest.fixture(autouse=True)
def _bounds(settings, monkeypatch):
    settings.PORTAL_LIMIT_FAILURES = settings.PORTAL_LIMIT_DEVICE_FAILURES = 2
    settings.PORTAL_LIMIT_SECONDS = 600
    monkeypatch.setattr(refusals, "LIMITED", LimitedLog())


def knock(provisioning, **environ):
    return provisioning.post("/sign-csr", make_csr("door-9"), token="hatch_never-made", **environ)


def test_a_flood_of_bad_tokens_is_answered_with_429_and_when_to_come_again(provisioning, now):
    assert [knock(provisioning).status_code for _ in range(2)] == [401, 401]
    answer = knock(provisioning)
    assert_problem(answer, 429, "too_many_failures")
    assert 0 < int(answer["Retry-After"]) <= 600
    assert "WWW-Authenticate" not in answer
    assert (
        provisioning.post("/sign-csr", make_csr("door-1"), token=pattern_token("*", now)).status_code == 200
    )


def test_other_methods_are_limited_and_still_told_which_to_use(provisioning):
    for _ in range(2):
        assert provisioning.get("/sign-csr").status_code == 405
    answer = provisioning.get("/sign-csr")
    assert_problem(answer, 429, "too_many_failures")
    assert answer["Allow"] == "POST"


@pytest.mark.parametrize("header", ["HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP"])
def test_no_header_makes_a_client_another_one(provisioning, settings, header):
    """Not even from a named proxy: what passes TLS through leaves the client's own header in it."""
    settings.PORTAL_PROXIES = proxies.parse("haproxy@127.0.0.1")
    statuses = [knock(provisioning, **{header: f"192.0.2.{number}"}).status_code for number in range(3)]
    assert statuses == [401, 401, 429]


def test_a_device_whose_renewals_are_refused_again_and_again_is_answered_with_429(ca, now):
    device = DeviceClient(Fielded.enrolled("door-1", now).certificate)
    assert [device.post("/renew", make_csr("gate-1")).status_code for _ in range(2)] == [403, 403]
    answer = device.post("/renew", make_csr("gate-1"))
    assert_problem(answer, 429, "too_many_failures")
    assert 0 < int(answer["Retry-After"]) <= 600
    assert device.get("/secure").status_code == 200
