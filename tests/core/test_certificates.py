"""Certificates by the book: RFC 5280's fields and extensions, and how long each one lives."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.core import certificates, extensions, names, profiles
from pki.core.profiles import ExtendedKeyUsage
from tests.core.cast import (
    DAY,
    MOMENT,
    POINTERS,
    SECOND,
    ca,
    issued,
    private_key,
    record,
    rules,
    sign,
    verified,
)

MINUTE = timedelta(minutes=1)


def root_that_lives(lifetime):
    key = private_key("P-256")
    subject = names.subject({"CN": "Short Root CA"})
    return sign(certificates.root(subject, key.public_key(), lifetime, MOMENT), key)


def device(*sans, **subject):
    return issued(ca(), record("door-1", *sans, **subject))


def server(*sans):
    return issued(ca(), record("web", *(sans or ("DNS:web.example",))), ExtendedKeyUsage.SERVER_AUTH)


# --- Validity -------------------------------------------------------------------------------------

ISSUER = root_that_lives(100 * DAY)
ISSUER_ENDS = ISSUER.not_valid_after_utc

VALIDITY = [
    # lifetime           made at                          issuer   ends
    (30 * DAY, MOMENT, None, MOMENT + 30 * DAY - SECOND),
    (30 * DAY, MOMENT, ISSUER, MOMENT + 30 * DAY - SECOND),
    (30 * DAY, MOMENT + timedelta(microseconds=999_999), ISSUER, MOMENT + 30 * DAY - SECOND),
    (30 * DAY, MOMENT + 80 * DAY, ISSUER, ISSUER_ENDS),
    (100 * DAY, MOMENT, ISSUER, ISSUER_ENDS),
    (365 * DAY, MOMENT, ISSUER, ISSUER_ENDS),
    (5 * MINUTE, MOMENT, ISSUER, MOMENT + 5 * MINUTE - SECOND),
    (30 * DAY, ISSUER_ENDS - SECOND, ISSUER, ISSUER_ENDS),
]


@pytest.mark.parametrize(("lifetime", "now", "issuer", "ends"), VALIDITY)
def test_a_certificate_lives_as_long_as_it_may_and_never_longer_than_its_issuer(lifetime, now, issuer, ends):
    assert certificates.validity(lifetime, now, issuer)[1] == ends


@pytest.mark.parametrize(("lifetime", "now", "issuer", "ends"), VALIDITY)
def test_a_certificate_is_back_dated_five_minutes(lifetime, now, issuer, ends):
    del ends
    assert certificates.validity(lifetime, now, issuer)[0] == now.replace(microsecond=0) - 5 * MINUTE


def test_back_dating_does_not_lead_before_an_issuer_that_has_begun():
    begun = ISSUER.not_valid_before_utc
    for later in (timedelta(0), SECOND, 5 * MINUTE - SECOND):
        assert certificates.validity(30 * DAY, begun + later, ISSUER)[0] == begun


@pytest.mark.parametrize("late", [timedelta(0), timedelta(microseconds=1), SECOND, 365 * DAY])
def test_an_issuer_that_has_expired_issues_nothing(late):
    with pytest.raises(certificates.IssuerExpired) as caught:
        certificates.validity(30 * DAY, ISSUER_ENDS + late, ISSUER)
    assert caught.value.code == "issuer_expired"


@settings(deadline=None)
@given(
    lifetime=st.timedeltas(timedelta(minutes=5), timedelta(days=3660)),
    now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_whatever_is_issued_begins_before_it_ends_and_ends_with_its_issuer(lifetime, now):
    try:
        not_before, not_after = certificates.validity(lifetime, now, ISSUER)
    except certificates.IssuerExpired:
        assert now >= ISSUER_ENDS
        return
    assert not_before < now < not_after + SECOND
    assert not_after <= ISSUER_ENDS
    assert not_after - now < lifetime


def test_the_validity_of_each_kind_is_signed_into_it():
    lifetime = 30 * DAY - SECOND
    for certificate in (device(), server()):
        assert certificate.not_valid_before_utc == MOMENT - 5 * MINUTE
        assert certificate.not_valid_after_utc == MOMENT + lifetime
    root = root_that_lives(7 * DAY)
    authority = certificates.Authority(root, POINTERS)
    key = private_key("P-256")
    subordinate = sign(
        certificates.subordinate(
            names.subject({"CN": "Sub"}), key.public_key(), 365 * DAY, authority, MOMENT
        ),
        key,
    )
    assert subordinate.not_valid_after_utc == root.not_valid_after_utc


# --- Serial numbers -------------------------------------------------------------------------------


def test_serials_are_positive_and_of_128_bits():
    serials = [certificates.new_serial() for _ in range(200)]
    assert all(0 < serial < 1 << 128 for serial in serials)
    assert len(set(serials)) == len(serials)
    every_bit = 0
    for serial in serials:
        every_bit |= serial
    assert every_bit == (1 << 128) - 1, "each of the 128 bits is sometimes set"


def test_a_serial_is_never_zero(monkeypatch):
    monkeypatch.setattr(certificates.secrets, "randbits", lambda bits: 0)
    assert certificates.new_serial() > 0


def test_two_certificates_of_one_request_have_two_serials():
    assert device().serial_number != device().serial_number


# --- Names, keys and signatures -------------------------------------------------------------------


def test_a_certificate_names_its_subject_and_its_issuer_and_is_signed_by_it():
    certificate = device(O="Example")
    assert certificate.version is x509.Version.v3
    assert certificate.subject.rfc4514_string() == "CN=door-1,O=Example"
    certificate.verify_directly_issued_by(ca().issuing)
    ca().issuing.verify_directly_issued_by(ca().root)
    ca().root.verify_directly_issued_by(ca().root)
    assert certificate.public_key() == private_key("P-256").public_key()


# --- Extensions -----------------------------------------------------------------------------------

CRITICAL, NOT_CRITICAL = True, False

CA_KEY_USAGE = {"key_cert_sign", "crl_sign"}

EXTENSIONS = {
    "root": (
        lambda: ca().root,
        {
            ExtensionOID.BASIC_CONSTRAINTS: CRITICAL,
            ExtensionOID.KEY_USAGE: CRITICAL,
            ExtensionOID.SUBJECT_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER: NOT_CRITICAL,
        },
    ),
    "issuing CA": (
        lambda: ca().issuing,
        {
            ExtensionOID.BASIC_CONSTRAINTS: CRITICAL,
            ExtensionOID.KEY_USAGE: CRITICAL,
            ExtensionOID.SUBJECT_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_INFORMATION_ACCESS: NOT_CRITICAL,
            ExtensionOID.CRL_DISTRIBUTION_POINTS: NOT_CRITICAL,
        },
    ),
    "device": (
        device,
        {
            ExtensionOID.BASIC_CONSTRAINTS: CRITICAL,
            ExtensionOID.KEY_USAGE: CRITICAL,
            ExtensionOID.EXTENDED_KEY_USAGE: NOT_CRITICAL,
            ExtensionOID.SUBJECT_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_INFORMATION_ACCESS: NOT_CRITICAL,
            ExtensionOID.CRL_DISTRIBUTION_POINTS: NOT_CRITICAL,
        },
    ),
    "server": (
        server,
        {
            ExtensionOID.BASIC_CONSTRAINTS: CRITICAL,
            ExtensionOID.KEY_USAGE: CRITICAL,
            ExtensionOID.EXTENDED_KEY_USAGE: NOT_CRITICAL,
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME: NOT_CRITICAL,
            ExtensionOID.SUBJECT_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_KEY_IDENTIFIER: NOT_CRITICAL,
            ExtensionOID.AUTHORITY_INFORMATION_ACCESS: NOT_CRITICAL,
            ExtensionOID.CRL_DISTRIBUTION_POINTS: NOT_CRITICAL,
        },
    ),
}


@pytest.mark.parametrize(("make", "extensions"), EXTENSIONS.values(), ids=EXTENSIONS)
def test_it_has_exactly_its_extensions_and_the_right_ones_are_critical(make, extensions):
    assert {extension.oid: extension.critical for extension in make().extensions} == extensions


def value(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
)


@pytest.mark.parametrize(
    ("make", "constraints", "usage"),
    [
        (lambda: ca().root, (True, None), CA_KEY_USAGE),
        (lambda: ca().issuing, (True, 0), CA_KEY_USAGE),
        (device, (False, None), {"digital_signature"}),
        (server, (False, None), {"digital_signature"}),
    ],
    ids=["root", "issuing CA", "device", "server"],
)
def test_only_a_ca_may_sign_certificates_and_the_issuing_one_no_ca(make, constraints, usage):
    certificate = make()
    basic = value(certificate, x509.BasicConstraints)
    assert (basic.ca, basic.path_length) == constraints
    asserted = value(certificate, x509.KeyUsage)
    assert {name for name in USAGES if getattr(asserted, name)} == usage


def test_a_certificate_has_the_sans_that_it_was_granted():
    certificate = device("DNS:door.example", "IP:10.0.0.7", "email:a@door.example", "URI:urn:door:1")
    assert [str(san) for san in names.sans_of(certificates.sans(certificate))[0]] == [
        "DNS:door.example",
        "IP:10.0.0.7",
        "email:a@door.example",
        "URI:urn:door:1",
    ]
    assert certificates.sans(device()) == []


@pytest.mark.parametrize(
    "make", [lambda: ca().issuing, device, server], ids=["issuing CA", "device", "server"]
)
def test_verifiers_are_sent_to_the_status_listener(make):
    certificate = make()
    access = {
        description.access_method: description.access_location.value
        for description in value(certificate, x509.AuthorityInformationAccess)
    }
    assert access == {
        AuthorityInformationAccessOID.OCSP: POINTERS.ocsp,
        AuthorityInformationAccessOID.CA_ISSUERS: POINTERS.ca,
    }
    (point,) = value(certificate, x509.CRLDistributionPoints)
    assert [name.value for name in point.full_name] == [POINTERS.crl]
    # RFC 5280 4.2.1.13: without reasons and cRLIssuer it covers all reasons, and is the issuer's own.
    assert (point.reasons, point.crl_issuer, point.relative_name) == (None, None, None)


def test_key_identifiers_chain_from_the_device_to_the_root():
    chain = [device(), ca().issuing, ca().root, ca().root]
    for certificate, issuer in pairwise(chain):
        authority = value(certificate, x509.AuthorityKeyIdentifier)
        assert authority.key_identifier == value(issuer, x509.SubjectKeyIdentifier).digest
        # RFC 5280 4.2.1.1: name and serial would pin one certificate of the issuer.
        assert authority.authority_cert_issuer is None


def test_a_key_identifier_is_the_sha1_of_the_public_key():
    point = private_key("P-256").public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    expected = hashlib.sha1(point, usedforsecurity=False).digest()  # RFC 5280 4.2.1.2, method 1
    assert value(device(), x509.SubjectKeyIdentifier).digest == expected
    assert certificates.key_identifier(device()) == expected.hex()


def unusual_ca(*identifiers: x509.SubjectKeyIdentifier) -> x509.Certificate:
    """A CA's certificate as somebody else may make it."""
    key = private_key("P-256")
    bare = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(certificates.new_serial())
        .not_valid_before(MOMENT)
        .not_valid_after(MOMENT + DAY)
    )
    for identifier in identifiers:
        bare = bare.add_extension(identifier, critical=False)
    return sign(bare, key)


LONG = x509.SubjectKeyIdentifier(hashlib.sha256(b"a key").digest())
OWN = x509.SubjectKeyIdentifier(b"an identifier")


@pytest.mark.parametrize(
    ("given", "in_urls", "in_what_it_signs"),
    [((), None, None), ((LONG,), None, LONG), ((OWN,), OWN, OWN)],
    ids=["none", "SHA-256", "its own"],
)
def test_a_ca_of_any_key_identifier_has_a_name_for_urls_and_for_what_it_signs(
    given, in_urls, in_what_it_signs
):
    certificate = unusual_ca(*given)
    hashed = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    assert certificates.key_identifier(certificate) == (in_urls or hashed).digest.hex()
    assert certificates.subject_key_identifier(certificate) == (in_what_it_signs or hashed)


def test_what_certificates_of_one_issuer_have_in_common_is_never_anothers():
    """Each is asked for after others that differ from it in one thing alone."""
    ours, moved = ca().authority, replace(POINTERS, ocsp="http://moved.example/ocsp")
    both = (ExtendedKeyUsage.CLIENT_AUTH, ExtendedKeyUsage.SERVER_AUTH)
    granted = profiles.grant(rules(), record("door-1"), verified(key=private_key("P-256")))

    def made(authority, usages, issuer):
        builder = certificates.end_entity(
            rules(both[0], extended_key_usages=usages),
            granted,
            private_key("P-256").public_key(),
            authority,
            MOMENT,
        )
        certificate = sign(builder, issuer.issuing_key)
        certificate.verify_directly_issued_by(issuer.issuing)
        access = extensions.value_of(certificate, x509.AuthorityInformationAccess)
        usage = extensions.value_of(certificate, x509.ExtendedKeyUsage)
        return certificate.serial_number, access[0].access_location.value, list(usage)

    other = ca("P-384")
    for _ in range(2):
        assert made(ours, both[:1], ca())[1:] == (POINTERS.ocsp, [both[0].oid])
        assert made(replace(ours, pointers=moved), both[:1], ca())[1:] == (moved.ocsp, [both[0].oid])
        assert made(ours, both, ca())[1:] == (POINTERS.ocsp, [each.oid for each in both])
        assert made(other.authority, both[:1], other)[1:] == (POINTERS.ocsp, [both[0].oid])
    assert made(ours, both, ca())[0] != made(ours, both, ca())[0]
