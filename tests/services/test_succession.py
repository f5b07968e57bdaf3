"""The next issuer: all of what belongs to it, or nothing; and the one before stays as it is."""

from datetime import timedelta

import pytest

from pki.core import keys, names
from pki.core.errors import Refusal
from pki.keystore import KeystoreError, keystore
from pki.keystore.encrypted_files import EncryptedFiles
from pki.models import CrossCertificate, Issuer, Profile, RevocationList, StandbyKey
from pki.services.issuing import authorities, succession
from pki.services.trusting import standby_keys
from tests.services.bundles_cast import the_issuing, the_root
from tests.services.cast import DAY, TESTER, at_once, everything, issue, registered

_STATE = Issuer.State


def names_of(issuers):
    return {issuer.name for issuer in issuers}


@pytest.mark.parametrize("spec", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_the_next_issuing_ca_stands_under_the_same_root_with_a_key_of_the_kind_asked_for(ca, now, spec):
    issuing = the_issuing()
    made = succession.make_next(issuing, spec, TESTER, now)
    assert (made.parent, made.predecessor, made.state) == (the_root(), issuing, _STATE.ACTIVE)
    assert keys.describe(made.certificate.public_key()) == spec
    made.certificate.verify_directly_issued_by(the_root().certificate)
    assert made.name == f"{issuing.name} G2"
    assert RevocationList.objects.filter(issuer=made).count() == 2
    assert not CrossCertificate.objects.exists()
    issuing.refresh_from_db()
    assert issuing.state == _STATE.ACTIVE
    assert set(Profile.objects.values_list("issuer", flat=True)) == {issuing.pk}, (
        "profiles stay where they are"
    )


@pytest.mark.parametrize("spec", ["P-256", "Ed25519", "RSA-2048"])
def test_the_next_root_is_bridged_to_the_old_one_and_has_the_next_of_each_issuing_ca(ca, now, spec):
    old, issuing = the_root(), the_issuing()
    second = authorities.make_subordinate("Doors Issuing CA", old, "P-256", TESTER, now)
    root = succession.make_next(old, spec, TESTER, now)
    assert (root.parent, root.predecessor, root.name) == (None, old, f"{old.name} G2")
    root.certificate.verify_directly_issued_by(root.certificate)
    below = {issuer.predecessor: issuer for issuer in root.subordinates.all()}
    assert {before: after.name for before, after in below.items()} == {
        issuing: f"{issuing.name} G2",
        second: "Doors Issuing CA G2",
    }
    for issuer in (root, *below.values()):
        assert keys.describe(issuer.certificate.public_key()) == spec
    pairs = {(cross.subject, cross.signer) for cross in CrossCertificate.objects.all()}
    assert pairs == {(root, old), (old, root)}
    device = registered("door-1", now)
    device.issuer = below[issuing]
    device.save()
    assert issue(device, now).issuer == below[issuing]


def test_a_root_takes_the_key_whose_pin_was_given_out_before(ca, now):
    standby_keys.prepare(standby_keys.ROOT, "P-256", now)
    promised = standby_keys.waiting().get(purpose=standby_keys.ROOT)
    root = succession.make_next(the_root(), "P-256", TESTER, now)
    assert root.key_reference == promised.key_reference
    promised.refresh_from_db()
    assert promised.used_at == now


def test_generations_are_counted_and_never_named_twice(ca, now):
    first = the_issuing()
    authorities.make_subordinate(f"{first.name} G2", the_root(), "P-256", TESTER, now)
    second = succession.make_next(first, "P-256", TESTER, now)
    third = succession.make_next(second, "P-256", TESTER, now)
    assert [second.name, third.name] == [f"{first.name} G3", f"{first.name} G4"]


def test_a_long_name_is_cut_where_its_generation_goes(ca, now):
    long = authorities.make_subordinate("x" * 64, the_root(), "P-256", TESTER, now)
    assert succession.make_next(long, "P-256", TESTER, now).name == f"{'x' * 61} G2"


def test_an_own_name_is_the_roots_alone(ca, now):
    root = succession.make_next(the_root(), "P-256", TESTER, now, name="Doors Root CA 2027")
    assert root.name == "Doors Root CA 2027"
    assert names_of(root.subordinates.all()) == {f"{the_issuing().name} G2"}


def test_a_second_successor_is_refused_until_the_first_is_retired(ca, now):
    first = succession.make_next(the_issuing(), "P-256", TESTER, now)
    before = everything()
    with pytest.raises(succession.SuccessorExists, match=first.name):
        succession.make_next(the_issuing(), "P-384", TESTER, now)
    assert everything() == before
    authorities.change_state(first, _STATE.RETIRED, TESTER, now)
    assert succession.make_next(the_issuing(), "P-384", TESTER, now).name == f"{the_issuing().name} G3"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("which", [the_root, the_issuing], ids=["root", "issuing CA"])
def test_two_who_make_it_at_once_make_one(ca, now, which):
    issuer = which()
    outcomes = at_once(*[lambda: succession.make_next(issuer, "P-256", TESTER, now)] * 4)
    made = [each for each in outcomes if isinstance(each, Issuer)]
    assert len(made) == 1
    assert all(isinstance(each, succession.SuccessorExists) for each in outcomes if each not in made)
    assert issuer.successors.count() == 1
    assert Issuer.objects.filter(predecessor=None).count() == 2, "the two of the first run"


@pytest.mark.parametrize(
    ("name", "refusal"),
    [("taken", authorities.IssuerExists), ("x" * 65, names.NameRefused), ("a\nb", names.NameRefused)],
)
def test_a_name_that_cannot_be_makes_neither_an_issuer_nor_a_key(ca, now, name, refusal):
    name = the_issuing().name if name == "taken" else name
    before, files = everything(), sorted((ca / "keys").iterdir())
    for issuer in (the_root(), the_issuing()):
        with pytest.raises(refusal):
            succession.make_next(issuer, "P-256", TESTER, now, name=name)
    assert everything() == before
    assert sorted((ca / "keys").iterdir()) == files


def test_under_a_retired_root_there_is_no_next_one(ca, now):
    Issuer.objects.filter(pk=the_root().pk).update(state=_STATE.RETIRED)
    with pytest.raises(authorities.ParentInactive):
        succession.make_next(the_issuing(), "P-256", TESTER, now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fails_at", range(1, 6))
def test_if_any_signature_fails_nothing_of_it_is_there(ca, now, monkeypatch, fails_at):
    """A root, two cross-certificates, an issuing CA: four signatures."""
    standby_keys.prepare(standby_keys.ROOT, "P-256", now)
    before, old = everything(), the_root()
    sign, calls = EncryptedFiles.sign, []

    def failing(store, *words):
        calls.append(words)
        if len(calls) == fails_at:
            raise KeystoreError("The token was pulled out.")
        return sign(store, *words)

    monkeypatch.setattr(EncryptedFiles, "sign", failing)
    if fails_at == 5:
        assert succession.make_next(old, "P-256", TESTER, now)
        return
    with pytest.raises(KeystoreError):
        succession.make_next(old, "P-256", TESTER, now)
    assert everything() == before, "nor is the standby key taken"
    monkeypatch.undo()
    assert succession.make_next(old, "P-256", TESTER, now)


def test_after_a_compromise_the_next_root_has_no_bridge_to_the_old_one(ca, now):
    old = the_root()
    authorities.change_state(old, _STATE.COMPROMISED, TESTER, now)
    root = succession.make_next(Issuer.objects.get(pk=old.pk), "P-256", TESTER, now)
    assert not CrossCertificate.objects.exists()
    assert names_of(root.subordinates.all()) == {f"{the_issuing().name} G2"}


def test_issuing_cas_that_are_done_have_no_next_one_below_the_next_root(ca, now):
    old = the_root()
    retired, compromised = (
        authorities.make_subordinate(name, old, "P-256", TESTER, now) for name in ("Retired", "Lost")
    )
    authorities.change_state(retired, _STATE.RETIRED, TESTER, now)
    authorities.change_state(compromised, _STATE.COMPROMISED, TESTER, now)
    replaced = authorities.make_subordinate("Replaced", old, "P-256", TESTER, now)
    succession.make_next(replaced, "P-256", TESTER, now)
    root = succession.make_next(old, "P-256", TESTER, now)
    assert names_of(root.subordinates.all()) == {f"{the_issuing().name} G2", "Replaced G3"}


def test_the_third_root_is_bridged_to_each_before_it_that_is_active(ca, now):
    first = the_root()
    second = succession.make_next(first, "P-256", TESTER, now)
    third = succession.make_next(second, "P-256", TESTER, now)
    pairs = {frozenset((each.subject, each.signer)) for each in CrossCertificate.objects.all()}
    assert pairs == {frozenset(pair) for pair in ((first, second), (second, third), (first, third))}
    assert CrossCertificate.objects.count() == 6


def test_a_key_kind_that_there_is_not_is_refused_before_anything_is_made(ca, now):
    before = everything()
    for issuer in (the_root(), the_issuing()):
        with pytest.raises(Refusal, match="no key kind"):
            succession.make_next(issuer, "P-521", TESTER, now)
    assert everything() == before
    assert not StandbyKey.objects.filter(spec="P-521").exists()


def test_what_an_old_issuer_signed_stands_as_before(ca, now):
    certificate = issue(registered("door-1", now), now)
    succession.make_next(the_root(), "P-384", TESTER, now)
    later = now + DAY
    assert issue(registered("door-2", later), later).issuer == certificate.issuer
    assert keystore().has(certificate.issuer.key_reference)
    assert the_root().not_after - now > timedelta(days=7000)
