"""/metrics: what is counted, by bounded labels, and nothing about a device."""

import pytest
import time_machine
from django.db import OperationalError, connection
from prometheus_client.parser import text_string_to_metric_families

from pki.core.errors import Refusal
from pki.endpoints import measuring
from pki.models import AuditEvent, Certificate, Revocation
from pki.services import maintenance
from pki.services.auditing.kinds import GROUPS
from pki.services.measuring import families, shared, standing, watch
from pki.services.revoking import revocation
from portal import measured, tls
from portal.listeners import all_listeners, served_listeners
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.services.cast import DAY, TESTER, Gadget, registered, token_for
from tests.services.renewing_cast import Fielded


@pytest.fixture
def counting(ca, settings, monkeypatch):
    """This process counts, as a worker does, until the test ends."""
    settings.PORTAL_PORT_METRICS = 9464
    memory, known = shared.Shared(), {each: list(each._known) for each in families.families()}
    for module in ("pki.services.measuring.families", "pki.endpoints.metrics"):
        monkeypatch.setattr(f"{module}.SHARED", memory)
    watch.WATCH.forget()
    measured.begin()
    memory.take(0)
    yield memory
    watch.WATCH.forget()
    measured.connection_created.disconnect(measured._opened)
    for family, values in known.items():
        family._known, family._places, family._other = values, {}, None


@pytest.fixture
def scrape(counting):
    def numbers():
        answer = ListenerClient("metrics").get("/metrics")
        assert answer.status_code == 200
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(answer.content.decode())
            for sample in family.samples
        }

    return numbers


def of(numbers, name, **labels):
    return numbers[name, tuple(sorted(labels.items()))]


@pytest.fixture
def enrolled(django_capture_on_commit_callbacks, ca, now):
    def enroll(name):
        secret = token_for(registered(name, now), now)
        client = ListenerClient("provisioning")
        with django_capture_on_commit_callbacks(execute=True):
            return client.post("/sign-csr", Gadget(name).csr, token=secret)

    return enroll


def test_what_is_issued_refused_and_revoked_is_counted(
    scrape, enrolled, now, django_capture_on_commit_callbacks
):
    before = scrape()
    assert enrolled("door-1").status_code == 200
    assert ListenerClient("provisioning").post("/sign-csr", b"nonsense", token="x").status_code == 400
    certificates = list(Certificate.objects.filter(device__name="door-1"))
    with django_capture_on_commit_callbacks(execute=True):
        revocation.revoke(certificates, Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    after = scrape()

    def more(name, **labels):
        return of(after, name, **labels) - of(before, name, **labels)

    assert more("hatchery_audit_events_total", kind="certificate.issued") == 1
    assert more("hatchery_audit_events_total", kind="certificate.revoked") == 1
    where = {"listener": "provisioning", "endpoint": "/sign-csr"}
    assert more("hatchery_requests_total", **where, status="2xx") == 1
    assert more("hatchery_requests_total", **where, status="4xx") == 1
    assert more("hatchery_request_duration_seconds_count", **where) == 2
    assert more("hatchery_refusals_total", code="csr_not_pem") == 1


def test_no_client_can_make_a_series(scrape):
    before = scrape()
    hello, status = ListenerClient("hello"), ListenerClient("status")
    for number in range(50):
        hello.get(f"/made-up-{number}")
        status.generic(f"BREW{number}", "/ca/all.pem")
        status.get(f"/crl/{number}.crl")
    after = scrape()
    assert after.keys() == before.keys()
    where = {"listener": "hello", "endpoint": "other", "status": "4xx"}
    assert of(after, "hatchery_requests_total", **where) == 50
    crl = {"listener": "status", "endpoint": "/crl/{key_identifier}.{form}", "status": "4xx"}
    assert of(after, "hatchery_requests_total", **crl) == 50


def test_nothing_says_which_device(counting, enrolled, now):
    assert enrolled("secret-door").status_code == 200
    device = Fielded.enrolled("secret-gate", now)
    DeviceClient(device.certificate).get("/secure")
    text = ListenerClient("metrics").get("/metrics").content.decode()
    for certificate in Certificate.objects.exclude(device=None):
        assert certificate.serial not in text
        assert certificate.fingerprint not in text
    assert "secret-" not in text
    assert "192.0.2" not in text


def test_every_refusal_that_can_be_answered_has_a_series_of_its_own(scrape):
    codes = {dict(labels)["code"] for name, labels in scrape() if name == "hatchery_refusals_total"}
    assert {kind.code for kind in measuring._below(Refusal)} <= codes
    assert {"internal_error", "unavailable", "not_found", "malformed_request"} <= codes


def test_every_kind_of_event_and_reason_has_a_series_of_its_own(scrape):
    numbers = scrape()
    kinds = {dict(labels)["kind"] for name, labels in numbers if name == "hatchery_audit_events_total"}
    assert {kind for group in GROUPS.values() for kind in group} <= kinds
    reasons = {
        (dict(labels)["listener"], dict(labels)["reason"])
        for name, labels in numbers
        if name == "hatchery_handshake_failures_total"
    }
    assert {("secure", reason) for reason in tls.reasons()} <= reasons
    assert {"certificate_revoked", "no_certificate", "timeout"} <= tls.reasons()


def test_every_address_of_every_listener_has_a_series_of_its_own(scrape):
    numbers = scrape()
    for listener in served_listeners():
        for endpoint in measuring.templates(listener.urlconf).values() if listener.name != "console" else ():
            of(numbers, "hatchery_request_duration_seconds_count", listener=listener.name, endpoint=endpoint)


def test_what_maintenance_and_the_audit_trail_are_at_is_told(scrape, now):
    assert of(scrape(), "hatchery_maintenance_failures_total", task="audit trail") == 0
    outcomes = list(maintenance.run(lambda: now))
    assert not any(each.failed for each in outcomes)
    maintenance._failed("audit trail", "broken on purpose")
    watch.WATCH.forget()
    numbers = scrape()
    assert of(numbers, "hatchery_maintenance_timestamp_seconds") == pytest.approx(now.timestamp())
    assert of(numbers, "hatchery_audit_checkpoint_timestamp_seconds") == pytest.approx(now.timestamp(), abs=1)
    assert of(numbers, "hatchery_audit_unsigned_events") == 0
    assert of(numbers, "hatchery_maintenance_failures_total", task="audit trail") == 1


def test_that_the_trail_was_cut_off_is_told_whoever_noticed_it_for_thirty_days(scrape, now):
    """A command in the shell, or a worker before Prometheus asked for the first time."""
    name = "hatchery_audit_cut_off_timestamp_seconds"
    assert (name, ()) not in scrape()
    for days in (31, 29):
        AuditEvent.objects.create(at=now - days * DAY, kind="audit.cut_off", actor="hatchery")
    watch.WATCH.forget()
    numbers = scrape()
    assert of(numbers, "hatchery_audit_events_total", kind="audit.cut_off") == 0
    assert of(numbers, name) == pytest.approx((now - 29 * DAY).timestamp())
    with time_machine.travel(now + 2 * DAY):
        watch.WATCH.forget()
        assert (name, ()) not in scrape()


def test_what_ends_next_is_told(scrape):
    numbers = scrape()
    certificates = Certificate.objects.exclude(listener="")
    assert certificates
    for certificate in certificates:
        moment = of(numbers, "hatchery_listener_expiry_timestamp_seconds", listener=certificate.listener)
        assert moment == pytest.approx(certificate.not_after.timestamp())
    from pki.models import Issuer

    first = min(Issuer.objects.values_list("not_after", flat=True)).timestamp()
    assert of(numbers, "hatchery_expiry_timestamp_seconds", what="issuer") == pytest.approx(first)


def test_a_database_that_is_away_is_one_trouble_and_not_three(scrape, monkeypatch):
    def fails(now):
        raise OperationalError("gone")

    assert {labels for name, labels in scrape() if name == "hatchery_ready"} == {
        (("check", check),) for check in ("database", "keys", "lists")
    }
    watch.WATCH.forget()
    monkeypatch.setattr(standing, "_look", fails)
    ready = {labels: value for (name, labels), value in scrape().items() if name == "hatchery_ready"}
    assert ready == {(("check", "database"),): 0}


def test_a_scrape_counts_no_table(counting, django_assert_max_num_queries):
    with django_assert_max_num_queries(25) as queries:
        ListenerClient("metrics").get("/metrics")
    for query in queries:
        sql = query["sql"]
        few = "pki_expirywarning" in sql and "LIMIT" in sql
        assert "COUNT(" not in sql.upper() or "pg_stat_activity" in sql or few, sql
        assert not any(
            f'FROM "{model._meta.db_table}"' in sql and "LIMIT" not in sql and "listener" not in sql
            for model in (Certificate, AuditEvent)
        ), sql


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no connections to count")
def test_the_connections_that_postgresql_has_are_told(scrape):
    numbers = scrape()
    assert of(numbers, "hatchery_database_connections", state="active") >= 1  # the one that asks
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        (limit,) = cursor.fetchone()
    assert of(numbers, "hatchery_database_connections_limit") == int(limit)


def test_metrics_are_on_no_other_listener(counting):
    for name in all_listeners().keys() - {"metrics", "console", "secure"}:
        assert ListenerClient(name).get("/metrics").status_code == 404


def test_without_a_port_there_is_no_listener_and_nothing_counts(ca, settings):
    assert settings.PORTAL_PORT_METRICS is None
    assert "metrics" not in {each.name for each in served_listeners()}
    measured.begin()
    assert shared.SHARED.totals() == []


def test_what_opens_the_others_to_a_network_leaves_metrics_at_home(settings):
    settings.PORTAL_PORT_METRICS, settings.PORTAL_BIND_HOST = 9464, "0.0.0.0"  # noqa: S104
    binds = {each.name: each.bind for each in served_listeners()}
    assert binds["metrics"] == "127.0.0.1:9464"
    assert binds["status"] == "0.0.0.0:8080"
