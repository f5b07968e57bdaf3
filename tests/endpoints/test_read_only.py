"""A database that takes no writes: what reads goes on, what writes is refused, and then it is over."""

from contextlib import contextmanager

from django.db import connection, transaction

from pki.services import complaints, maintenance
from pki.services.measuring import watch
from pki.services.publishing import publication
from tests.clients import make_csr
from tests.core.ocsp_cast import asked, told
from tests.endpoints.conftest import DeviceClient, ListenerClient
from tests.services.cast import everything, issue, pattern_token, registered, responder_of


@contextmanager
def read_only():
    """As PostgreSQL's default_transaction_read_only, and SQLite's file for who may only read it."""
    watch.WATCH.forget()
    complaints.COMPLAINTS.forget()
    if connection.vendor == "postgresql":
        before = transaction.savepoint()
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
        yield
        transaction.savepoint_rollback(before)
    else:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA query_only = ON")
            yield
            cursor.execute("PRAGMA query_only = OFF")
    watch.WATCH.forget()


def test_what_reads_goes_on_what_writes_is_refused_and_then_it_is_over(provisioning, status, now, caplog):
    device = registered("door-1", now)
    certificate = issue(device, now)
    publication.publish_first(now)
    responder_of(certificate.issuer, now)
    question = asked(certificate.parsed, certificate.issuer.certificate)
    secret, body = pattern_token("*", now), make_csr("door-2")
    secure, before = DeviceClient(certificate), everything()
    with read_only():
        assert ListenerClient("hello").get("/hello").status_code == 200
        assert secure.get("/secure").status_code == 200
        assert told(status.post("/ocsp", question, "application/ocsp-request").content) == "good"
        assert status.get(f"/crl/{certificate.issuer.key_identifier}.crl").status_code == 200
        refusals = [provisioning.post("/sign-csr", body, token=secret), secure.post("/renew", make_csr())]
        assert [(each.status_code, each.json()["code"]) for each in refusals] == [(503, "unavailable")] * 2
        assert all(int(each["Retry-After"]) > 0 for each in refusals)
        assert everything() == before
        assert status.get("/readyz").json()["checks"]["database"] == "failed"
    assert complaints.READ_ONLY in caplog.text
    assert "Traceback" not in caplog.text
    assert status.get("/readyz").status_code == 200
    assert provisioning.post("/sign-csr", body, token=secret).status_code == 200


def test_while_nothing_can_be_stored_no_keys_pile_up(ca, status, now):
    """What makes itself a key, an OCSP responder at the first question, leaves none behind."""
    certificate = issue(registered("door-1", now), now)
    question = asked(certificate.parsed, certificate.issuer.certificate)
    keys = {path.name for path in (ca / "keys").iterdir()}
    with read_only():
        for _ in range(3):
            assert told(status.post("/ocsp", question, "application/ocsp-request").content) == "try_later"
        for _ in range(2):
            assert [*maintenance.run()]
    assert {path.name for path in (ca / "keys").iterdir()} == keys
    assert told(status.post("/ocsp", question, "application/ocsp-request").content) == "good"
