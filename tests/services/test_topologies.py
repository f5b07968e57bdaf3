"""One root for all, or one for servers and another for clients."""

import pytest
from cryptography import x509

from pki.core import pins
from pki.keystore import keystore
from pki.models import Issuer, Profile
from pki.services.issuing import authorities, bootstrap, demo, listener_certificates, succession
from pki.services.proving.client_issuers import client_issuers
from tests.services.cast import SECOND, TESTER, everything, issue, registered

LISTENERS = ["hello", "secure"]


@pytest.fixture
def data(db, settings, tmp_path):
    """A data directory in which nothing was ever made."""
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    yield tmp_path
    keystore.cache_clear()


def run(data, now, *, two_roots=True):
    return bootstrap.bootstrap(data, LISTENERS, ["localhost"], "a-password", TESTER, now, two_roots=two_roots)


def issuer_of(profile: str) -> Issuer:
    return Profile.objects.get(name=profile).issuer


def named(certificates: list[x509.Certificate]) -> list[str]:
    return [Issuer.objects.get(fingerprint=pins.fingerprint_of(each)).name for each in certificates]


def test_two_roots_are_one_for_servers_and_one_for_clients(data, now):
    made = run(data, now)
    clients, servers = issuer_of("device"), issuer_of("server")
    assert clients.parent.is_root
    assert servers.parent.is_root
    assert len({clients, servers, clients.parent, servers.parent}) == Issuer.objects.count() == 4
    assert set(made.issuers) == {each.name for each in (clients, servers, clients.parent, servers.parent)}
    assert listener_certificates.root() == servers.parent
    assert {listener_certificates.current(each, now).issuer for each in LISTENERS} == {servers}


def test_one_root_is_for_both(data, now):
    run(data, now, two_roots=False)
    assert issuer_of("device") == issuer_of("server")
    assert Issuer.objects.count() == 2


@pytest.mark.parametrize("before", [True, False], ids=["two", "one"])
def test_an_installation_that_is_there_is_untouched_by_the_setting(data, now, before):
    run(data, now, two_roots=before)
    rows, keys = everything(), sorted((data / "keys").iterdir())
    assert run(data, now + SECOND, two_roots=not before) == bootstrap.Made()
    assert everything() == rows
    assert sorted((data / "keys").iterdir()) == keys


class Interrupted(Exception):
    """The power went."""


@pytest.mark.parametrize("made", [0, 1, 2, 3])
def test_a_first_run_that_was_interrupted_is_completed_with_two_roots(data, now, monkeypatch, made):
    real, calls = authorities._store, []

    def store(*args, **kwargs):
        if len(calls) == made:
            raise Interrupted
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(authorities, "_store", store)
    with pytest.raises(Interrupted):
        run(data, now)
    monkeypatch.undo()
    run(data, now)
    assert Issuer.objects.filter(parent=None).count() == 2
    assert Issuer.objects.count() == 4
    assert authorities.root_of(issuer_of("device")) != authorities.root_of(issuer_of("server"))


def test_the_demo_trusts_the_servers_root_and_shows_what_leads_to_the_clients(data, now):
    run(data, now)
    demo.make(data / "demo", TESTER, now)
    read = lambda name: x509.load_pem_x509_certificates((data / "demo" / name).read_bytes())  # noqa: E731
    clients, servers = issuer_of("device"), issuer_of("server")
    assert named(read("ca.pem")) == [servers.parent.name]
    assert named(read("ca-chain.pem")) == [clients.name, clients.parent.name]
    own, *chain = read("client.pem")
    own.verify_directly_issued_by(clients.certificate)
    assert named(chain) == [clients.name]


# --- Whose certificates clients may show ----------------------------------------------------------


def test_with_two_roots_clients_are_known_by_theirs_alone(data, now):
    run(data, now)
    clients = issuer_of("device")
    assert named(client_issuers()) == [clients.parent.name, clients.name]


def test_with_one_root_clients_are_known_by_it(data, now):
    run(data, now, two_roots=False)
    assert len(client_issuers()) == Issuer.objects.count()


def test_a_new_issuer_is_known_before_it_issued_anything(data, now):
    run(data, now)
    root = authorities.make_root("Next Root", "P-256", TESTER, now)
    below = authorities.make_subordinate("Next", root, "P-256", TESTER, now)
    assert {root.name, below.name} < set(named(client_issuers()))


def test_an_issuer_is_known_for_as_long_as_devices_have_its_certificates(data, now):
    """The profile has moved on, which is how a campaign ends; the server's still names it."""
    run(data, now, two_roots=False)
    old = issuer_of("device")
    issue(registered("door-1", now), now)
    root = authorities.make_root("Next Root", "P-256", TESTER, now)
    Profile.objects.filter(name="device").update(
        issuer=authorities.make_subordinate("Next", root, "P-256", TESTER, now)
    )
    assert set(named(client_issuers())) == {old.parent.name, old.name, "Next Root", "Next"}


def test_what_succeeds_a_clients_issuer_is_known_though_it_signed_for_listeners_first(data, now):
    run(data, now, two_roots=False)
    successor = succession.make_next(issuer_of("device"), "P-256", TESTER, now)
    Profile.objects.filter(name="server").update(issuer=successor)
    listener_certificates.renew_due(LISTENERS, ["localhost"], TESTER, now)
    assert successor.certificates.exists()
    assert successor.name in named(client_issuers())


@pytest.mark.parametrize("which", ["issuer", "root"])
def test_a_compromised_issuer_is_not_known_nor_what_is_below_it(data, now, which):
    run(data, now)
    clients = issuer_of("device")
    condemned = clients if which == "issuer" else clients.parent
    authorities.change_state(condemned, Issuer.State.COMPROMISED, TESTER, now)
    left = [clients.parent.name] if which == "issuer" else []
    assert named(client_issuers()) == left


def test_a_retired_issuer_is_known_for_its_certificates_are_good(data, now):
    run(data, now)
    clients = issuer_of("device")
    authorities.change_state(clients, Issuer.State.RETIRED, TESTER, now, confirmed_name=clients.name)
    assert clients.name in named(client_issuers())


def test_the_servers_issuer_is_known_once_a_profile_of_clients_names_it(data, now):
    run(data, now)
    servers = issuer_of("server")
    Profile.objects.filter(name="device").update(issuer=servers)
    assert servers.name in named(client_issuers())
