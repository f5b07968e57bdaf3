"""Whatever header comes from a named proxy, it is told of a device or refused; and what that costs."""

import json
from types import SimpleNamespace

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pki.core import proxies
from pki.core.forwarded import Form
from pki.endpoints import forwarding, recording
from pki.models import AuditEvent, Device, DeviceGroup, Revocation
from pki.services.proving import status
from pki.services.proving.dropped_headers import DroppedLog
from pki.services.proving.handshakes import HandshakeLog
from pki.services.proving.refused_proxies import RefusedProxyLog
from pki.services.revoking import revocation
from portal.listeners import all_listeners
from portal.wsgi import DeviceHandler, application
from tests.core.test_forwarded import WRITTEN
from tests.services.cast import TESTER, change_state, issue, registered

ADDRESSES = {form: f"10.0.0.{number}" for number, form in enumerate(Form)}


@pytest.fixture
def named(ca, settings):
    settings.PORTAL_PROXIES = proxies.parse(",".join(f"{form}@{at}" for form, at in ADDRESSES.items()))
    return settings


@pytest.fixture
def door(named, now):
    return issue(registered("door-1", now), now)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Nothing is folded into what another test noted."""
    monkeypatch.setattr(recording, "DROPPED", DroppedLog())
    monkeypatch.setattr(recording, "TURNED_AWAY", HandshakeLog())
    monkeypatch.setattr(recording, "REFUSED_PROXIES", RefusedProxyLog())


def recorded(kind):
    return [event.detail for event in AuditEvent.objects.filter(kind=kind).order_by("pk")]


def environ(listener, path, *, own=None, **variables):
    """What gunicorn tells of a request; `own` is the certificate that its sender showed in the handshake."""
    socket = SimpleNamespace(listener=all_listeners()[listener], peer_certificate=own)
    return RequestFactory(**{"gunicorn.socket": socket, **variables}).get(path).environ


def ask(listener, path, form, value, *, own=None, address=None):
    """What a proxy is answered: by the application, less its signals, which close the test's database."""
    header = {f"HTTP_{form.header.upper().replace('-', '_')}": value}
    asked = environ(listener, path, own=own, REMOTE_ADDR=address or ADDRESSES[form], **header)
    forwarding.take(asked)
    return DeviceHandler().get_response(WSGIRequest(asked))


@pytest.mark.parametrize("path", ["/authorize", "/secure", "/whoami"])
@hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    form=st.sampled_from(Form),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200),
)
def test_any_header_is_a_403_and_never_an_error(named, path, form, value):
    named.PORTAL_SECURE_PROXY = "http"
    answer = ask("secure", path, form, value)
    expected = "forwarded_certificate_malformed" if value else "client_certificate_missing"
    assert (answer.status_code, answer["Hatchery-Reason"]) == (403, expected)


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.filterwarnings("ignore")  # on what is odd in a damaged certificate
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_damaged_header_is_never_believed(door, form, data):
    good = WRITTEN[form](door.parsed)
    at = data.draw(st.integers(0, len(good) - 1))
    character = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    answer = ask("status", "/authorize", form, good[:at] + character + good[at + 1 :])
    # A character of Envoy's Hash, or the case of an escape, is of no account.
    assert answer.status_code == 403 or answer["Hatchery-Device"] == "door-1"


@pytest.mark.parametrize("form", list(Form))
def test_the_status_listener_asks_the_database_twice_for_an_answer(door, form):
    value = WRITTEN[form](door.parsed)
    assert ask("status", "/authorize", form, value)["Hatchery-Device"] == "door-1"
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert ask("status", "/authorize", form, value).status_code == 200
    assert len(queries) == 2, [query["sql"] for query in queries]


def test_a_proxys_own_certificate_costs_one_more(door, named, now):
    named.PORTAL_PROXY_DEVICES = ["edge-1"]
    edge = issue(registered("edge-1", now), now).parsed
    value = WRITTEN[Form.NGINX](door.parsed)
    assert ask("secure", "/authorize", Form.NGINX, value, own=edge).status_code == 200
    with CaptureQueriesContext(connection) as queries:
        assert ask("secure", "/authorize", Form.NGINX, value, own=edge).status_code == 200
    assert len(queries) == 3, [query["sql"] for query in queries]


def test_who_is_not_named_costs_no_query(door, now):
    value = WRITTEN[Form.NGINX](door.parsed)
    ask("status", "/authorize", Form.NGINX, value, address="192.0.2.9")  # the first is recorded at once
    with CaptureQueriesContext(connection) as queries:
        answer = ask("status", "/authorize", Form.NGINX, value, address="192.0.2.9")
    assert (answer.status_code, len(queries)) == (403, 0)


def test_ipv4_on_a_socket_for_both_is_the_same_address(door):
    value = WRITTEN[Form.NGINX](door.parsed)
    address = f"::ffff:{ADDRESSES[Form.NGINX]}"
    assert ask("status", "/authorize", Form.NGINX, value, address=address).status_code == 200


def test_without_a_database_nobody_is_let_through(door, monkeypatch):
    def fails(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(status, "standing", fails)
    answer = ask("status", "/authorize", Form.NGINX, WRITTEN[Form.NGINX](door.parsed))
    assert (answer.status_code, answer["Hatchery-Reason"]) == (503, "unavailable")


@pytest.mark.django_db(transaction=True)  # a whole request ends with the connection's
@pytest.mark.parametrize("listener", ["hello", "provisioning", "status", "console"])
def test_other_listeners_know_no_forwarded_certificate(listener):
    """Not even under its own name in the environment of the request."""
    statuses = []
    asked = environ(listener, "/nowhere", HTTP_CLIENT_CERT="x")
    application(asked, lambda status_line, *_: statuses.append(status_line))
    assert statuses
    assert "HTTP_CLIENT_CERT" not in asked


@pytest.mark.django_db(transaction=True)  # a whole request ends with the connection's
@pytest.mark.parametrize(
    ("listener", "path"),
    [("hello", "/hello"), ("provisioning", "/sign-csr"), ("status", "/healthz"), ("console", "/admin/")],
)
def test_a_forged_header_is_counted_wherever_it_comes_and_costs_nothing_where_none_does(listener, path):
    names = {f"HTTP_{form.header.upper().replace('-', '_')}": "x" for form in Form}
    for headers in ({}, names, names):
        application(environ(listener, path, **headers), lambda *_: None)
    (told,) = recorded("forwarded_certificate.dropped")
    assert (told["listener"], told["reason"]) == (listener, "not_asked")
    assert set(told["headers"]) == {form.header for form in Form}


def revoked(edge, now):
    revocation.revoke([edge], Revocation.Reason.KEY_COMPROMISE, TESTER, now)


def suspended(edge, now):
    change_state(edge.device, Device.State.SUSPENDED, now)


def as_it_is(edge, now):
    pass


@pytest.mark.parametrize("header", ["", "nonsense"], ids=["no header", "a header"])
@pytest.mark.parametrize(
    ("devices", "happens", "shown", "reason"),
    [
        (["edge-1"], as_it_is, False, "no_certificate"),
        (["edge-1"], revoked, True, "certificate_revoked"),
        (["edge-1"], suspended, True, "device_suspended"),
        (["edge-2"], as_it_is, True, "device_not_named"),
    ],
    ids=["no certificate", "a revoked one", "a suspended device's", "another device's"],
)
def test_a_proxy_that_is_not_believed_is_on_record_with_the_reason(
    named, now, devices, happens, shown, reason, header
):
    edge = issue(registered("edge-1", now), now)
    happens(edge, now)
    named.PORTAL_PROXY_DEVICES = devices
    own = edge.parsed if shown else None
    for _ in range(2):
        answer = ask("secure", "/authorize", Form.NGINX, header, own=own)
        assert answer["Hatchery-Reason"] == "proxy_unknown"
    (event,) = AuditEvent.objects.filter(kind="proxy.refused")
    assert (event.detail["reason"], event.device) == (reason, edge.device if shown else None)


@pytest.mark.parametrize(("listener", "path"), [("status", "/authorize"), ("secure", "/secure")])
def test_who_is_no_proxy_is_on_record_though_no_header_came(named, listener, path):
    named.PORTAL_SECURE_PROXY = "http"
    asked = environ(listener, path, REMOTE_ADDR="192.0.2.9")
    forwarding.take(asked)
    assert DeviceHandler().get_response(WSGIRequest(asked))["Hatchery-Reason"] == "proxy_unknown"
    (told,) = recorded("proxy.refused")
    assert (told["listener"], told["reason"]) == (listener, "address_not_named")
    assert not recorded("forwarded_certificate.dropped")


def in_groups(device, number):
    for each in range(number):
        device.groups.add(DeviceGroup.objects.create(name=f"{each:064}"))


@pytest.mark.parametrize(("number", "status_code"), [(100, 200), (150, 403)])
def test_a_device_in_too_many_groups_is_refused_with_what_to_do_and_on_record(door, number, status_code):
    in_groups(door.device, number)
    answer = ask("status", "/authorize", Form.NGINX, WRITTEN[Form.NGINX](door.parsed))
    assert answer.status_code == status_code
    told = [(name, value) for name, value in answer.items() if name.startswith("Hatchery-")]
    assert sum(len(f"{name}: {value}\r\n") for name, value in told) <= 8192
    if status_code == 403:
        assert answer["Hatchery-Reason"] == "identity_too_large"
        assert "groups" in json.loads(answer.content)["detail"]
        (event,) = AuditEvent.objects.filter(kind="handshake.refused", device=door.device)
        assert event.detail["reason"] == "identity_too_large"
    else:
        assert len(answer["Hatchery-Groups"].split(",")) == number
