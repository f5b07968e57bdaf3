"""A client's certificate is verified to a root of ours, as a TLS handshake would."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from pki.core import certificates, chains, keys, names
from pki.core.profiles import ExtendedKeyUsage
from tests.core.cast import DAY, MOMENT, POINTERS, Ca, ca, issued, record, sign

DOOR = issued(ca(), record("door-1"))
OURS = [ca().issuing, ca().root]


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_a_certificate_of_ours_passes(kind):
    ours = ca(kind)
    chains.verify_client(issued(ours, record("door-1")), [ours.root, ours.issuing], MOMENT)


def test_the_order_and_number_of_our_cas_is_of_no_account():
    ours = [ca("P-384").root, *OURS, ca("P-384").issuing]
    for order in (ours, ours[::-1]):
        chains.verify_client(DOOR, order, MOMENT)


def refusal(certificate, ours, at=MOMENT) -> str:
    with pytest.raises(chains.ChainRefused) as refused:
        chains.verify_client(certificate, ours, at)
    assert refused.value.detail.endswith(".")
    return refused.value.code


def another(root_name: x509.Name, issuing_name: x509.Name) -> Ca:
    """Another CA with these names, and keys of its own."""
    root_key, key = keys.generate("P-256"), keys.generate("P-256")
    root = sign(certificates.root(root_name, root_key.public_key(), 365 * DAY, MOMENT), root_key)
    authority = certificates.Authority(root, POINTERS)
    builder = certificates.subordinate(issuing_name, key.public_key(), 300 * DAY, authority, MOMENT)
    return Ca(root, sign(builder, root_key), key, root_key)


FOREIGN = another(names.subject({"CN": "Foreign Root CA"}), names.subject({"CN": "Foreign Issuing CA"}))
NAMESAKE = another(ca().root.subject, ca().issuing.subject)


def forged() -> x509.Certificate:
    """A certificate that anybody can make: it calls itself a CA's, and is signed by a device's key."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(
        issuer_name=DOOR.subject,
        subject_name=names.subject({"CN": "mallory"}),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=MOMENT,
        not_valid_after=MOMENT + DAY,
        extensions=[],
    )
    return sign(builder, key)


REFUSED = {
    "another CA's": (issued(FOREIGN, record("door-1")), OURS, "unknown_issuer"),
    "a namesake's": (issued(NAMESAKE, record("door-1")), OURS, "bad_signature"),
    "one of nobody's": (forged(), OURS, "unknown_issuer"),
    "without any CA": (DOOR, [], "unknown_issuer"),
    "a root that is not trusted": (DOOR, [ca().issuing], "unknown_issuer"),
    "another root of the same name": (DOOR, [ca().issuing, NAMESAKE.root], "bad_signature"),
    "an issuer that is not known": (DOOR, [ca().root], "unknown_issuer"),
    "a server's": (
        issued(ca(), record("www.example", "DNS:www.example"), ExtendedKeyUsage.SERVER_AUTH),
        OURS,
        "wrong_purpose",
    ),
    "a CA's own": (ca().issuing, OURS, "wrong_purpose"),
    "the root's own": (ca().root, OURS, "wrong_purpose"),
}


@pytest.mark.parametrize(("certificate", "ours", "code"), REFUSED.values(), ids=REFUSED)
def test_a_certificate_that_a_handshake_would_refuse_is_refused(certificate, ours, code):
    assert refusal(certificate, ours) == code


@pytest.mark.parametrize("at", [MOMENT - 365 * DAY, MOMENT + 11 * 365 * DAY])
def test_cas_that_are_not_valid_at_the_time_are_not_relied_on(at):
    assert refusal(DOOR, OURS, at) == "unknown_issuer"


def test_a_certificate_of_no_ca_signs_nobody_though_it_is_ours():
    """Its key could sign; basicConstraints and keyUsage say that it may not."""
    device_key = ec.generate_private_key(ec.SECP256R1())
    device = sign(
        certificates._named(
            certificates._under(ca().authority),
            names.subject({"CN": "door-1"}),
            device_key.public_key(),
            (MOMENT, MOMENT + DAY),
        ).add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
        ca().issuing_key,
    )
    below = issued(replace(ca(), issuing=device, issuing_key=device_key), record("mallory"))
    assert refusal(below, [*OURS, device]) == "unknown_issuer"


def test_a_ca_below_one_that_may_have_none_below_it_is_not_relied_on():
    """Our issuing CAs have a path length of 0 (RFC 5280 4.2.1.9)."""
    key = keys.generate("P-256")
    authority = ca().authority
    third = sign(
        certificates.subordinate(names.subject({"CN": "Third"}), key.public_key(), DAY, authority, MOMENT),
        ca().issuing_key,
    )
    below = issued(Ca(ca().root, third, key, ca().root_key), record("door-1"))
    assert refusal(below, [*OURS, third]) == "unknown_issuer"


MALFORMED = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x03\x82\x05a")
FOR_SERVERS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
FOR_CLIENTS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
A_CA = x509.BasicConstraints(ca=True, path_length=None)


def saying(*extensions: x509.ExtensionType, key: keys.IssuerKey | None = None) -> x509.Certificate:
    """A certificate of the root's that says these things."""
    builder = certificates._named(
        certificates._under(certificates.Authority(ca().root, POINTERS)),
        names.subject({"CN": "door-1"}),
        (key or keys.generate("P-256")).public_key(),
        (MOMENT, MOMENT + DAY),
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return sign(builder, ca().root_key)


def test_a_certificate_whose_extensions_cannot_be_read_is_for_nothing():
    """One that is malformed hides all others: whether it is a server's, or a CA's."""
    chains.verify_client(saying(FOR_CLIENTS), OURS, MOMENT)
    for extensions in ([FOR_SERVERS], [A_CA], [FOR_CLIENTS], []):
        assert refusal(saying(*extensions, MALFORMED), OURS) == "wrong_purpose", extensions


def test_a_ca_whose_extensions_cannot_be_read_is_not_relied_on():
    key = keys.generate("P-256")
    legible, malformed = saying(A_CA, key=key), saying(A_CA, MALFORMED, key=key)

    def below(issuing: x509.Certificate) -> x509.Certificate:
        return issued(replace(ca(), issuing=issuing, issuing_key=key), record("door-2"))

    chains.verify_client(below(legible), [legible, ca().root], MOMENT)
    assert refusal(below(malformed), [malformed, ca().root]) == "unknown_issuer"


def test_cas_that_sign_each_other_lead_nowhere():
    """And the way ends, though each has an issuer."""
    one, other = (keys.generate("P-256") for _ in range(2))

    def signed(name, key, issuer, issuer_key):
        extensions = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (certificates._key_usage(key_cert_sign=True, crl_sign=True), True),
        ]
        builder = x509.CertificateBuilder(
            names.subject({"CN": issuer}),
            names.subject({"CN": name}),
            key.public_key(),
            1,
            MOMENT,
            MOMENT + DAY,
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer_key, hashes.SHA256())

    circle = [signed("One", one, "Other", other), signed("Other", other, "One", one)]
    assert refusal(signed("door-1", keys.generate("P-256"), "One", one), circle) == "unknown_issuer"


def test_a_ca_of_openssls_own_default_and_a_certificate_that_says_nothing_pass():
    """Neither keyUsage in the CA nor extensions in the client's: what is not said is not forbidden."""
    key, device_key = keys.generate("P-256"), keys.generate("P-256")
    root_name = names.subject({"CN": "Old Root CA"})

    def made(subject: x509.Name, public, *extensions: x509.ExtensionType) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(certificates.new_serial())
            .not_valid_before(MOMENT - DAY)
            .not_valid_after(MOMENT + DAY)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return sign(builder, key)

    root = made(root_name, key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
    device = made(names.subject({"CN": "door-1"}), device_key.public_key())
    chains.verify_client(device, [root], MOMENT)
    assert refusal(root, [root]) == "wrong_purpose", "a CA is nobody's client, though it says nothing either"
