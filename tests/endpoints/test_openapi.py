"""`/openapi.json`: a valid document, of this listener alone, for who may speak there.

That what is answered is what it says is looked at in each of these tests, by their client (`tests.contract`).
"""

import json

import pytest
from django.urls import get_resolver
from openapi_spec_validator import OpenAPIV31SpecValidator

from pki.endpoints.openapi.document import refusals
from pki.endpoints.openapi.paths import paths
from pki.endpoints.problems import _STATUS, status_of
from pki.models import Revocation
from pki.services.revoking import revocation
from portal.listeners import all_listeners
from tests.contract import documented
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.services.cast import TESTER
from tests.services.renewing_cast import Fielded

# What each listener's URLs come to, as a client writes them.
PATHS = {
    "hello": ["/hello", "/openapi.json"],
    "secure": [
        "/secure",
        "/renewal-info",
        "/renew",
        "/whoami",
        "/ca-bundle",
        "/bundle",
        "/authorize",
        "/openapi.json",
    ],
    "provisioning": ["/sign-csr", "/ca-bundle", "/enrollments/{request_id}", "/openapi.json"],
    "status": [
        "/ocsp",
        "/ocsp/{encoded}",
        "/ca-bundle",
        "/ca/bundle.pem",
        "/ca/all.pem",
        "/ca/{key_identifier}.crt",
        "/ca/{key_identifier}.pem",
        "/crl/all.pem",
        "/crl/{key_identifier}.{form}",
        "/crl/{key_identifier}/delta.crl",
        "/crl/{key_identifier}/{shard}.{form}",
        "/healthz",
        "/readyz",
        "/authorize",
        "/openapi.json",
    ],
}
LISTENERS = list(PATHS)


@pytest.mark.parametrize("listener", LISTENERS)
def test_it_is_a_valid_openapi_document(listener):
    OpenAPIV31SpecValidator(documented(listener)).validate()


@pytest.mark.parametrize("listener", LISTENERS)
def test_it_has_the_addresses_of_its_listener_and_no_others(listener):
    assert list(documented(listener)["paths"]) == PATHS[listener]
    assert len(get_resolver(f"portal.urls.{listener}").url_patterns) == len(PATHS[listener])


@pytest.mark.parametrize("listener", LISTENERS)
def test_operations_have_names_of_their_own(listener):
    names = [each["operationId"] for item in documented(listener)["paths"].values() for each in item.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("listener", LISTENERS)
def test_it_holds_nothing_of_this_installation(listener, settings):
    text = json.dumps(documented(listener))
    for secret in (settings.SECRET_KEY, settings.PORTAL_KEY_PASSPHRASE, str(settings.PORTAL_DATA_DIR)):
        assert secret not in text
    assert all(name not in text for name in settings.PORTAL_HOSTNAMES)


def test_every_refusal_that_has_a_status_of_its_own_is_told_somewhere():
    told = {
        kind for listener in LISTENERS for path in paths(f"portal.urls.{listener}") for kind in refusals(path)
    }
    codes = {kind.code for kind in told}
    assert {kind.code for kind in _STATUS} - codes <= {"refused", "certificate_refused"}


def test_a_code_has_one_status():
    found = {}
    for listener in LISTENERS:
        for path in paths(f"portal.urls.{listener}"):
            for kind in refusals(path):
                assert found.setdefault(kind.code, status_of(kind)) == status_of(kind), kind


@pytest.mark.parametrize("listener", ["hello", "provisioning", "status"])
def test_anybody_is_told_where_anybody_may_speak(ca, listener):
    answer = ListenerClient(listener).get("/openapi.json")
    assert answer.status_code == 200
    assert answer.json() == documented(listener)


def test_it_asks_no_database(django_assert_num_queries, ca):
    with django_assert_num_queries(0):
        assert ListenerClient("hello").get("/openapi.json").status_code == 200


def test_devices_are_told_where_devices_speak(ca, now):
    certificate = Fielded.enrolled("door-1", now).certificate
    assert DeviceClient(certificate).get("/openapi.json").json() == documented("secure")
    revocation.revoke([certificate], Revocation.Reason.UNSPECIFIED, TESTER, now)
    assert DeviceClient(certificate).get("/openapi.json").json()["code"] == "certificate_revoked"


def test_nobody_else_is_told_there(ca):
    assert ListenerClient("secure").get("/openapi.json").json()["code"] == "client_certificate_missing"


def test_the_console_has_none(ca):
    assert "openapi" not in str(get_resolver(all_listeners()["console"].urlconf).url_patterns)
