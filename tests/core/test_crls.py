"""CRLs as values: what a list says, read back from what was signed (RFC 5280 5)."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from pki.core import crls, keys
from pki.core.crls import Entry, Heading
from tests.core.cast import DAY, MOMENT, SECOND, ca

URL = "http://status.example:8080/crl/0a1b/7.crl"
HEADING = Heading(7, MOMENT, MOMENT + DAY)
COMPROMISE = x509.ReasonFlags.key_compromise
REASONS = [reason for reason in x509.ReasonFlags if reason != crls.REMOVED]

moments = st.datetimes(datetime(1950, 1, 1), datetime(2120, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
entries = st.builds(
    Entry,
    serial=st.integers(1, 2**159 - 1),
    revoked_at=moments,
    reason=st.sampled_from(REASONS),
)
lists = st.lists(entries, unique_by=lambda entry: entry.serial, max_size=20)


def signed(builder):
    """The list as a relying party gets it."""
    key = ca().issuing_key
    der = builder.sign(key, keys.signature_hash(key)).public_bytes(Encoding.DER)
    crl = crls.load(der)
    assert crl.is_signature_valid(ca().issuing.public_key())
    return crl


def complete(listed=(), heading=HEADING, **more):
    return signed(crls.complete(ca().issuing, heading, listed, **more))


def extension(crl, kind):
    return crl.extensions.get_extension_for_class(kind)


def names(crl):
    return {each.oid._name: each.critical for each in crl.extensions}


def whole(entry):
    return entry._replace(revoked_at=entry.revoked_at.replace(microsecond=0))


@given(lists)
def test_a_list_says_what_was_put_on_it(listed):
    assert crls.entries_of(complete(listed)) == {entry.serial: whole(entry) for entry in listed}


@given(entries)
def test_a_reason_is_said_unless_it_is_unspecified(entry):
    (revoked,) = complete([entry])
    said = [each.value.reason for each in revoked.extensions]
    assert said == ([] if entry.reason == x509.ReasonFlags.unspecified else [entry.reason])


@given(st.integers(1, 2**63 - 1), moments, st.integers(1, 10**6))
def test_a_list_says_its_number_and_its_time(number, this_update, seconds):
    this_update = this_update.replace(microsecond=0)
    crl = complete(heading=Heading(number, this_update, this_update + seconds * SECOND))
    assert extension(crl, x509.CRLNumber).value.crl_number == number
    assert crl.last_update_utc == this_update
    assert crl.next_update_utc == this_update + seconds * SECOND


@pytest.mark.parametrize(
    ("when", "encoded"),
    [
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, 0, 0, 0, 999, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
    ],
)
def test_dates_are_utc_time_until_2049_and_generalized_time_after(when, encoded):
    """RFC 5280 5.1.2.4 to 5.1.2.6."""
    heading = Heading(1, when.replace(microsecond=0), when.replace(microsecond=0) + DAY)
    der = complete([Entry(5, when, COMPROMISE)], heading).public_bytes(Encoding.DER)
    assert der.count(encoded) == 2  # thisUpdate, and the entry's


def test_a_full_list_has_no_scope_and_names_its_delta():
    crl = complete(freshest="http://status.example/crl/0a1b/delta.crl")
    assert names(crl) == {"authorityKeyIdentifier": False, "cRLNumber": False, "freshestCRL": False}
    (point,) = extension(crl, x509.FreshestCRL).value
    assert point.full_name == [x509.UniformResourceIdentifier("http://status.example/crl/0a1b/delta.crl")]


def test_a_shard_says_which_it_is_and_that_is_critical():
    crl = complete(distribution_point=URL)
    assert names(crl) == {
        "authorityKeyIdentifier": False,
        "cRLNumber": False,
        "issuingDistributionPoint": True,
    }
    scope = extension(crl, x509.IssuingDistributionPoint).value
    assert scope.full_name == [x509.UniformResourceIdentifier(URL)]
    assert (scope.only_contains_user_certs, scope.only_contains_ca_certs) == (False, False)
    assert (scope.indirect_crl, scope.only_some_reasons) == (False, None)


def test_its_authority_is_its_issuers_subject_key():
    crl = complete()
    subject_key = extension(ca().issuing, x509.SubjectKeyIdentifier).value.digest
    assert extension(crl, x509.AuthorityKeyIdentifier).value.key_identifier == subject_key
    assert crl.issuer == ca().issuing.subject


def test_a_delta_says_its_base_and_that_is_critical():
    crl = signed(crls.delta(ca().issuing, HEADING, [Entry(5, MOMENT, crls.REMOVED)], base=3))
    assert names(crl) == {"authorityKeyIdentifier": False, "cRLNumber": False, "deltaCRLIndicator": True}
    assert extension(crl, x509.DeltaCRLIndicator).value.crl_number == 3
    assert crls.entries_of(crl) == {5: Entry(5, MOMENT, crls.REMOVED)}


def test_what_only_a_delta_may_say_is_not_put_on_a_complete_list():
    with pytest.raises(ValueError, match="removeFromCRL"):
        complete([Entry(5, MOMENT, crls.REMOVED)])


def combined(base, delta):
    """What a relying party holds to be revoked that adds a delta to a complete list (RFC 5280 5.2.4)."""
    held = base | {entry.serial: entry for entry in delta}
    return {serial: entry for serial, entry in held.items() if entry.reason != crls.REMOVED}


def states():
    """A history: what is revoked at several moments. What is not on hold never becomes good again."""

    @st.composite
    def history(draw):
        serials = range(1, 6)
        state, moments = {}, []
        for step in range(draw(st.integers(2, 6))):
            for serial in serials:
                earlier = state.get(serial)
                if earlier is None or earlier.reason == crls.HOLD:
                    then = draw(st.sampled_from(["good", "held", "revoked"]))
                    at = MOMENT + timedelta(seconds=step)
                    if then == "good":
                        state.pop(serial, None)
                    elif then == "revoked":
                        state[serial] = Entry(serial, earlier.revoked_at if earlier else at, COMPROMISE)
                    elif earlier is None:
                        state[serial] = Entry(serial, at, crls.HOLD)
            moments.append(dict(state))
        return moments

    return history()


@given(states())
def test_a_delta_makes_the_newest_of_the_base_and_of_every_list_since(history):
    base, earlier = history[0], {}
    for number, now in enumerate(history[1:], start=1):
        changed = crls.changes(now.values(), base, earlier, MOMENT)
        for complete_list in history[:number]:
            assert combined(complete_list, changed) == now
        earlier = {entry.serial: entry for entry in changed}


@given(states())
def test_a_delta_has_nothing_that_the_base_says_too(history):
    base, now = history[0], history[-1]
    assert not [entry for entry in crls.changes(now.values(), base, {}, MOMENT) if entry in base.values()]


def test_what_leaves_the_list_because_it_ended_is_not_removed_by_a_delta():
    base = {5: Entry(5, MOMENT, COMPROMISE)}
    assert crls.changes([], base, {}, MOMENT) == []
