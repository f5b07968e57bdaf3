"""`GET /bundle`: a device's own certificate and what it is to trust; no key, and for nobody else."""

import plistlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.keystore import folder, keystore
from pki.models import Certificate, Device, Revocation
from pki.services.exporting.files import Form
from pki.services.exporting.identities import Container
from pki.services.revoking import revocation
from tests.clients import run
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.endpoints.problems import assert_problem
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import TESTER, change_state, everything
from tests.services.renewing_cast import Fielded


@pytest.fixture
def door(ca, now):
    return Fielded.enrolled("door-1", now)


@pytest.fixture
def device(door):
    return DeviceClient(door.certificate)


def test_its_certificate_comes_in_each_form(device, door):
    leaf, issuing, root = door.certificate.parsed, the_issuing().certificate, the_root().certificate
    for form, expected in (
        ("pem", [leaf]), ("chain", [leaf, issuing]), ("fullchain", [leaf, issuing, root]), ("roots", [root]),
    ):  # fmt: skip
        answer = device.get(f"/bundle?form={form}")
        assert answer.status_code == 200, form
        assert x509.load_pem_x509_certificates(answer.content) == expected
        assert answer["Cache-Control"] == "no-store"
    for form in ("der", "cer"):
        assert x509.load_der_x509_certificate(device.get(f"/bundle?form={form}").content) == leaf


def test_every_form_is_answered_and_none_has_a_key(device):
    for form in Form:
        answer = device.get(f"/bundle?form={form}")
        assert answer.status_code == 200, form
        assert b"PRIVATE KEY" not in answer.content
        assert 'attachment; filename="' in answer["Content-Disposition"]


def test_the_truststore_has_the_roots_and_no_key(device):
    opened = pkcs12.load_pkcs12(device.get("/bundle?form=truststore").content, None)
    assert opened.key is None
    assert [each.certificate for each in opened.additional_certs] == [the_root().certificate]


def test_the_profile_is_signed_under_the_root_that_it_installs(device, tmp_path):
    (tmp_path / "signed").write_bytes(device.get("/bundle?form=mobileconfig").content)
    (tmp_path / "ca.pem").write_bytes(device.get("/bundle?form=roots").content)
    done = run(
        *("openssl", "cms", "-verify", "-inform", "DER", "-in", "signed", "-purpose", "sslserver"),
        *("-CAfile", "ca.pem", "-no-CApath", "-no-CAstore"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (root,) = plistlib.loads(done.stdout)["PayloadContent"]
    assert x509.load_der_x509_certificate(root["PayloadContent"]) == the_root().certificate


def test_it_changes_nothing(device):
    before = everything()
    for form in Form:
        device.get(f"/bundle?form={form}")
    assert everything() == before


# --- Who gets none --------------------------------------------------------------------------------


def test_who_shows_no_certificate_gets_nothing(ca):
    for form in Form:
        answer = ListenerClient("secure").get(f"/bundle?form={form}")
        assert_problem(answer, 403, "client_certificate_missing")


@pytest.mark.parametrize("listener", ["hello", "provisioning", "status"])
def test_elsewhere_there_is_none(ca, listener):
    assert_problem(ListenerClient(listener).get("/bundle?form=roots"), 404, "not_found")


def test_who_does_not_stand_gets_nothing(device, door, now):
    change_state(door.device, Device.State.SUSPENDED, now)
    assert_problem(device.get("/bundle?form=roots"), 403, "device_suspended")
    change_state(door.device, Device.State.ACTIVE, now)
    revocation.revoke([door.certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    for form in Form:
        assert_problem(device.get(f"/bundle?form={form}"), 403, "certificate_revoked")


@pytest.mark.parametrize("query", ["", "?form=", "?form=pkcs12", "?form=PEM", "?form=%00", "?form=pem%0a"])
def test_a_form_that_there_is_not_is_said_with_those_that_there_are(device, query):
    answer = device.get(f"/bundle{query}")
    assert_problem(answer, 400, "form_unknown")
    for form in Form:
        assert form in answer.json()["detail"]


@pytest.mark.parametrize("form", sorted(set(Container) - set(Form)))
def test_of_a_form_with_a_key_it_says_who_makes_it(device, form):
    answer = device.get(f"/bundle?form={form}")
    assert_problem(answer, 400, "form_unknown")
    assert answer.json()["detail"].startswith(f"{form} holds the private key, which Hatchery does not have")
    assert "private key" not in device.get("/bundle?form=jks").json()["detail"]


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_other_methods_are_refused(device, method):
    answer = getattr(device, method)("/bundle?form=pem")
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD")


def test_a_node_without_a_listeners_key_signs_no_profile_and_says_so(device, ca):
    for certificate in Certificate.objects.exclude(listener=""):
        (folder() / f"{certificate.key_reference.split(':')[1]}.pem").unlink()
    keystore.cache_clear()
    answer = device.get("/bundle?form=mobileconfig")
    assert_problem(answer, 503, "no_profile_signer")


def test_the_certificate_itself_costs_one_query(device):
    device.get("/bundle?form=pem")
    with CaptureQueriesContext(connection) as queries:
        assert device.get("/bundle?form=chain").status_code == 200
    assert len(queries) == 1
