"""The contexts of a process, in this one: what is taken up, what stays if it cannot be, what is said."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, Profile, Revocation
from pki.services import complaints, maintenance
from pki.services.audit import HATCHERY
from pki.services.issuing import authorities, listener_certificates
from pki.services.revoking import revocation
from portal import housekeeping, serving
from portal.contexts import ListenerNotReady
from portal.listeners import all_listeners
from tests.live import pairs
from tests.services.cast import TESTER

LISTENERS = ["hello", "secure"]
LOG = "hatchery.housekeeping"


@pytest.fixture
def served(ca, settings, monkeypatch):
    """A process that serves these listeners, as far as their contexts go."""
    settings.PORTAL_LISTENERS = [*LISTENERS, "status"]
    monkeypatch.setattr(serving, "_by_port", {})
    serving.prepare()


def tls(name):
    return serving.at_port(all_listeners()[name].port)[1]


def serial(name):
    return f"{tls(name).material.certificate.serial_number:x}"


def client_names(name):
    return [authority.CN for authority in _connection(name).get_client_ca_list()]


def _connection(name):
    from OpenSSL import SSL

    found = SSL.Connection(tls(name).first, None)
    found.set_context(tls(name).current)
    found.set_accept_state()
    return found


def replace(now, *names):
    shown = listener_certificates.shown(names, now)
    revocation.revoke(list(shown.values()), Revocation.Reason.SUPERSEDED, TESTER, now)
    listener_certificates.renew_due(names, ["localhost", "127.0.0.1"], HATCHERY, now)
    return {name: found.serial for name, found in listener_certificates.shown(names, now).items()}


def damage(folder, name, now):
    """Make the key of what a listener should show next unusable."""
    reference = listener_certificates.current(name, now).key_reference
    path = folder / "keys" / f"{reference.removeprefix('file:')}.pem"
    good = path.read_bytes()
    path.write_bytes(b"damaged")
    keystore.cache_clear()
    return lambda: (path.write_bytes(good), keystore.cache_clear())


def lines(caplog):
    return [record.getMessage() for record in caplog.records if record.name == LOG]


def test_what_has_not_changed_is_not_made_anew(served, now):
    before = {name: tls(name) for name in LISTENERS}
    assert serving.take_up(now) == 0
    assert {name: tls(name) for name in LISTENERS} == before


def test_a_look_costs_a_few_queries_however_many_listeners_there_are(served, now):
    with CaptureQueriesContext(connection) as queries:
        serving.take_up(now)
    # What the listeners show, the cross-certificates of their issuer, and whom clients may have come from.
    assert len(queries) <= 4


def test_a_renewed_listener_is_taken_up_and_the_others_stay(served, now):
    before = {name: tls(name) for name in LISTENERS}
    new = replace(now, "hello")
    assert serving.take_up(now) == 1
    assert serial("hello") == new["hello"]
    assert tls("hello").first is before["hello"].first, "its ticket keys are all workers'"
    assert tls("hello").current is not before["hello"].current
    assert tls("secure") == before["secure"]


def test_plain_listeners_have_nothing_to_take_up(served):
    assert tls("status") is None


def test_a_new_issuer_is_named_to_clients_and_a_compromised_one_no_more(served, now):
    root = Issuer.objects.get(parent=None)
    issuer = authorities.make_subordinate("Next Issuing CA", root, "P-256", TESTER, now)
    assert serving.take_up(now) == 1, "the one listener that asks for certificates"
    assert issuer.name in client_names("secure")
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    assert serving.take_up(now) == 1
    assert client_names("secure") == [
        root.name,
        Profile.objects.get(name="device").issuer.name,
    ]


def test_a_key_that_cannot_be_opened_leaves_what_was_served_and_the_others_are_taken_up(
    served, ca, now, caplog
):
    before = tls("hello")
    new = replace(now, *LISTENERS)
    repair = damage(ca, "hello", now)
    with pytest.raises(KeystoreError, match="restore the file from a backup"):
        serving.take_up(now)
    assert tls("hello") == before
    assert serial("secure") == new["secure"]
    repair()
    assert serving.take_up(now) == 1
    assert serial("hello") == new["hello"]


def test_a_listener_without_a_certificate_that_stands_goes_on_with_the_one_it_has(served, now):
    before, shown = tls("hello"), listener_certificates.current("hello", now)
    revocation.revoke([shown], Revocation.Reason.SUPERSEDED, TESTER, now)
    with pytest.raises(ListenerNotReady, match="hello"):
        serving.take_up(now)
    assert tls("hello") == before


def test_trouble_is_one_line_that_says_what_to_do(served, ca, now, caplog, monkeypatch):
    replace(now, "hello")
    repair = damage(ca, "hello", now)
    keeper = housekeeping.Housekeeping()
    for _ in range(3):
        keeper._contexts.run()
    (line,) = lines(caplog)
    assert line.startswith("Listeners go on with the certificates and issuers they had: The key file ")
    assert "Traceback" not in caplog.text
    repair()
    monkeypatch.setattr(complaints, "SECONDS", 0.0)
    keeper._contexts.run()
    assert len(lines(caplog)) == 1


def test_without_a_database_everything_goes_on_as_it_was(served, now, caplog, monkeypatch):
    before = {name: tls(name) for name in LISTENERS}

    def gone(*_):
        raise OperationalError("connection refused")

    monkeypatch.setattr(listener_certificates, "shown", gone)
    housekeeping.Housekeeping()._contexts.run()
    assert {name: tls(name) for name in LISTENERS} == before
    (line,) = lines(caplog)
    assert "see DATABASE_URL" in line


def test_what_nobody_thought_of_is_logged_with_its_traceback(caplog):

    def surprise(now):
        return {}["key"]

    errand = housekeeping.Errand(surprise, "Something does not work")
    for _ in range(2):
        errand.run()
    assert [record.exc_info[0] for record in caplog.records] == [KeyError] * 2


class Noted:
    """What was noted in memory, by how it is written."""

    def __init__(self, fault=None):
        self.fault, self.written = fault, 0

    def flush(self, *words, **options):
        self.written += 1
        if self.fault:
            raise self.fault


def test_what_cannot_be_written_at_the_end_is_said_and_the_rest_is_written(monkeypatch, caplog):
    logs = [Noted(OSError("no lock")), Noted(), Noted(KeyError("surprise")), Noted()]
    *folded, seen = logs
    monkeypatch.setattr(housekeeping, "_FOLDED", folded)
    monkeypatch.setattr(housekeeping, "SEEN", seen)
    housekeeping.Housekeeping().finish()
    assert [log.written for log in logs] == [1, 1, 1, 1]
    assert [record.exc_info[0] for record in caplog.records if record.name == LOG] == [OSError, KeyError]


def test_what_fails_in_a_thread_beside_the_requests_is_said(caplog):
    with pairs.working() as made:
        made.worker.in_a_thread(Noted(OSError("no lock")).flush)
    (said,) = [record for record in caplog.records if record.name == "hatchery.worker"]
    assert str(said.exc_info[1]) == "no lock"


def test_maintenance_renews_what_is_due_and_a_worker_takes_it_up(served, now, settings):
    settings.PORTAL_HOSTNAMES = ["localhost", "127.0.0.1"]
    (task,) = (task for task in maintenance.tasks() if task.name == "listener certificates")
    assert task.everywhere, "each node has its own"
    before, later = {name: serial(name) for name in LISTENERS}, now + timedelta(days=61)
    assert (task.what(now), task.what(later), task.what(later)) == (0, len(LISTENERS), 0)
    assert serving.take_up(later) == len(LISTENERS)
    assert all(serial(name) != before[name] for name in LISTENERS)
