"""A client whose handshake a proxy took is proven again, with few queries."""

import pytest
from cryptography import x509

from pki.core import chains
from pki.models import Device, Issuer, Revocation
from pki.services.fleet import labels
from pki.services.issuing import authorities, listener_certificates
from pki.services.proving import forwarded_clients, status
from pki.services.revoking import revocation
from tests.core.cast import MOMENT, record
from tests.core.cast import ca as foreign_ca
from tests.core.cast import issued as issued_by
from tests.services.cast import DAY, TESTER, change_state, issue, registered


@pytest.fixture
def device(ca, now):
    return registered("door-1", now)


@pytest.fixture
def certificate(device, now):
    return issue(device, now)


def refused(certificate: x509.Certificate, now) -> str:
    with pytest.raises((status.NotStanding, chains.ChainRefused)) as refusal:
        forwarded_clients.proven(certificate, now)
    return refusal.value.code


def test_a_good_certificate_says_whose_it_is(certificate, now):
    assert forwarded_clients.proven(certificate.parsed, now).device == "door-1"


def test_who_and_which_groups_costs_two_queries(certificate, device, now, django_assert_num_queries):
    forwarded_clients.proven(certificate.parsed, now)  # reads the issuers, which never change, once
    with django_assert_num_queries(2):
        identity = forwarded_clients.proven(certificate.parsed, now)
        labels.groups_of(identity.device_id)


def test_states_that_change_count_at_once(certificate, device, now):
    forwarded_clients.proven(certificate.parsed, now)
    change_state(device, Device.State.SUSPENDED, now)
    assert refused(certificate.parsed, now) == "device_suspended"
    change_state(device, Device.State.ACTIVE, now)
    forwarded_clients.proven(certificate.parsed, now)
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert refused(certificate.parsed, now) == "certificate_revoked"


@pytest.mark.parametrize("which", ["issuer", "root"])
def test_a_compromised_ca_counts_at_once_though_its_signature_is_remembered(certificate, now, which):
    forwarded_clients.proven(certificate.parsed, now)
    issuer = certificate.issuer if which == "issuer" else authorities.root_of(certificate.issuer)
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    assert refused(certificate.parsed, now) == "issuer_compromised"


def test_its_time_counts(certificate, now):
    assert refused(certificate.parsed, now + 31 * DAY) == "certificate_expired"
    assert refused(certificate.parsed, now - DAY) == "certificate_not_yet_valid"


def test_a_foreign_certificate_is_told_from_one_of_ours_that_is_not_on_record(certificate, now):
    foreign = issued_by(foreign_ca(), record("door-1"), now=MOMENT)
    assert refused(foreign, now) == "unknown_issuer"


def test_a_listeners_own_certificate_is_not_for_clients(ca, now):
    own = listener_certificates.current("hello", now)
    assert refused(own.parsed, now) == "wrong_purpose"


def test_an_issuers_own_certificate_is_not_for_clients(certificate, now):
    for issuer in (certificate.issuer, authorities.root_of(certificate.issuer)):
        assert refused(issuer.certificate, now) == "wrong_purpose"
