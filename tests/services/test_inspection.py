"""What is shown to Hatchery is told apart and judged: each mistake is made here on purpose."""

import base64
import logging
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pki.core import bundles, chains, csr, der, diagnosis, list_reading, recognition, trust
from pki.core.findings import Finding, Severity
from pki.core.parts import MOST_PARTS, Kind
from pki.core.profiles import ExtendedKeyUsage
from pki.keystore import keystore
from pki.models import BundleSigner, Certificate, CrossCertificate, Issuer, Revocation, RevocationList
from pki.services.issuing import authorities, issuance, succession
from pki.services.looking import inspection
from pki.services.publishing import publication
from pki.services.revoking import revocation
from pki.services.trusting import bundle
from tests.clients import make_csr
from tests.core import cast as core
from tests.core.test_hostile_bytes import damaged
from tests.services.cast import (
    DAY,
    SECOND,
    TESTER,
    Gadget,
    change_state,
    everything,
    registered,
    responder_of,
)
from tests.services.lists import publish

SERVER = ExtendedKeyUsage.SERVER_AUTH
GOOD_AS_IT_IS = {"ours", "san_missing", "our_issuer"}


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


@pytest.fixture
def gadget():
    return Gadget("door-1")


@pytest.fixture
def certificate(door, gadget, now):
    issued, _ = issuance.issue(door, csr.verify(gadget.csr), TESTER, now)
    return issued.certificate


@pytest.fixture
def chained(certificate):
    """The certificate with its chain, as a device should send it."""
    return bundles.pem([certificate.parsed, *authorities.chain(certificate.issuer)])


@pytest.fixture
def server(ca):
    return Certificate.objects.filter(listener="hello").get()


def pem(certificate):
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key, password=None, form=PrivateFormat.PKCS8):
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, encryption)


def codes(inspected):
    return {finding.code for finding in inspected.all_findings}


def refusals(inspected):
    return {finding.code for finding in inspected.refused}


def look(data, now, **more):
    return inspection.inspect(data, now, **more)


def self_made(
    subject="stranger",
    issuer=None,
    *,
    key=None,
    signer=None,
    now,
    digest=None,
    extensions=(),
    start=-DAY,
    life=10 * DAY,
):
    """A certificate that Hatchery did not make."""
    key = key or core.private_key("P-256")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = x509.CertificateBuilder(
        issuer or name, name, key.public_key(), x509.random_serial_number(), now + start, now + start + life
    )
    for each in extensions:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(signer or key, digest or hashes.SHA256())


# --- What it is -----------------------------------------------------------------------------------

CERTIFICATE = [Kind.CERTIFICATE]


@pytest.mark.parametrize(
    "wrap",
    [
        pem,
        lambda c: c.public_bytes(Encoding.DER),
        lambda c: base64.b64encode(c.public_bytes(Encoding.DER)),
        lambda c: base64.urlsafe_b64encode(c.public_bytes(Encoding.DER)).rstrip(b"="),
        lambda c: b"\xef\xbb\xbf" + pem(c).replace(b"\n", b"\r\n"),
        lambda c: pem(c).decode().encode("utf-16"),
        lambda c: b"Bag Attributes\n  friendlyName: x\n" + pem(c) + b"some words\n",
        lambda c: b"".join(b"   " + line + b"\n" for line in pem(c).splitlines()),
        lambda c: pkcs7.serialize_certificates([c], Encoding.PEM),
        lambda c: pkcs7.serialize_certificates([c], Encoding.DER),
        lambda c: pkcs12.serialize_key_and_certificates(None, None, c, None, NoEncryption()),
        lambda c: pem(c).replace(b" CERTIFICATE", b" TRUSTED CERTIFICATE"),
    ],
    ids=[
        "PEM",
        "DER",
        "base64",
        "URL-safe",
        "Windows",
        "UTF-16",
        "words",
        "indented",
        "P7-PEM",
        "P7-DER",
        "P12",
        "trusted",
    ],
)
def test_a_certificate_is_recognised_in_every_wrapping(certificate, now, wrap):
    inspected = look(wrap(certificate.parsed), now)
    assert [each.part.kind for each in inspected.parts] == CERTIFICATE
    assert inspected.parts[0].certificate == certificate
    assert "ours" in codes(inspected)


@pytest.mark.parametrize(
    ("write", "password", "kind"),
    [
        (lambda key: key_pem(key), "", Kind.PRIVATE_KEY),
        (lambda key: key_pem(key, form=PrivateFormat.TraditionalOpenSSL), "", Kind.PRIVATE_KEY),
        (lambda key: key_pem(key, "pw"), "pw", Kind.PRIVATE_KEY),
        (lambda key: key_pem(key, "pw", PrivateFormat.TraditionalOpenSSL), "pw", Kind.PRIVATE_KEY),
        (
            lambda key: key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "",
            Kind.PUBLIC_KEY,
        ),
        (lambda key: make_csr("door-1", key=key), "", Kind.REQUEST),
    ],
    ids=["PKCS#8", "traditional", "encrypted", "encrypted in the old way", "public", "CSR"],
)
def test_of_a_key_it_is_told_which_of_our_certificates_it_fits(
    certificate, gadget, now, write, password, kind
):
    (each,) = look(write(gadget.key), now, password=password).parts
    assert each.part.kind is kind
    assert each.same_key == [certificate]
    assert "key_known" in {finding.code for finding in each.findings}


def test_of_a_key_that_nobody_has_it_is_told_that(ca, now):
    (each,) = look(key_pem(Gadget().key), now).parts
    assert each.same_key == []
    assert "key_unknown" in {finding.code for finding in each.findings}


def test_a_good_certificate_with_its_chain_is_not_refused(chained, now):
    inspected = look(chained, now)
    assert codes(inspected) == GOOD_AS_IT_IS
    assert inspected.refused == []


def test_a_good_server_certificate_is_not_refused(server, now):
    data = bundles.pem([server.parsed, *authorities.chain(server.issuer)])
    for host in ("localhost", "LOCALHOST", "127.0.0.1"):
        inspected = look(data, now, use=SERVER, hostname=host)
        assert codes(inspected) == {"ours", "our_issuer", "hostname_matches"}


# --- Mistakes with certificates -------------------------------------------------------------------


def test_expired(certificate, chained, now):
    later = certificate.not_after + 3 * DAY
    inspected = look(chained, later)
    assert refusals(inspected) == {"certificate_expired"}
    assert "3 days ago" in inspected.refused[0].sentence


def test_not_yet_valid_is_a_matter_of_clocks(certificate, chained):
    inspected = look(chained, certificate.not_before - timedelta(hours=2))
    assert refusals(inspected) == {"certificate_not_yet_valid"}
    assert "2 hours" in inspected.refused[0].sentence
    assert "time zone" in inspected.refused[0].advice
    far = look(chained, certificate.not_before - 5 * DAY)
    assert "time zone" not in far.refused[0].advice


def test_self_signed(ca, now):
    assert {"self_signed"} <= refusals(look(pem(self_made(now=now)), now))


def test_an_issuer_that_nobody_knows(ca, now):
    other = core.issued(core.ca(), core.record("door-1"), now=now)
    alone = look(pem(other), now)
    assert refusals(alone) == {"unknown_issuer"}
    assert "the chain ends there" in alone.refused[0].sentence
    assert "not_ours" in codes(alone)
    with_chain = look(bundles.pem([other, core.ca().issuing, core.ca().root]), now)
    assert "leads to CN=Test Root CA" in with_chain.refused[0].sentence


def test_a_ca_of_the_same_name_with_another_key(certificate, now):
    issuer = certificate.issuer.certificate
    forged = self_made(issuer=issuer.subject, signer=core.private_key("P-384"), now=now)
    assert "wrong_issuer" in refusals(look(pem(forged), now))


def test_an_intermediate_that_is_not_sent_along(certificate, now):
    inspected = look(pem(certificate.parsed), now)
    (missing,) = [each for each in inspected.all_findings if each.code == "intermediate_missing"]
    assert missing.severity is Severity.WARNING
    assert certificate.issuer.name in missing.sentence


def test_an_extended_key_usage_for_something_else(chained, server, now):
    assert refusals(look(chained, now, use=SERVER)) == {"eku_missing", "san_missing"}
    inspected = look(pem(server.parsed), now)
    assert {"eku_missing", "certificate_of_no_device"} == refusals(inspected)


def test_no_extended_key_usage_and_any_are_for_everything(ca, now):
    for extensions in ((), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),)):
        assert "eku_missing" not in codes(look(pem(self_made(now=now, extensions=extensions)), now))


def test_a_key_usage_without_signatures(ca, now):
    usage = x509.KeyUsage(False, False, True, False, False, False, False, False, False)
    assert "key_usage_missing" in refusals(look(pem(self_made(now=now, extensions=[usage])), now))


def test_no_san_is_nothing_to_a_client_and_everything_to_a_server(ca, now):
    data = pem(self_made("door.example", now=now))
    assert "san_missing" not in refusals(look(data, now))
    inspected = look(data, now, use=SERVER, hostname="door.example")
    assert {"san_missing", "hostname_mismatch"} <= refusals(inspected)
    assert "a CN only" in " ".join(each.sentence for each in inspected.refused)
    assert "Its CN is door.example" in " ".join(each.sentence for each in inspected.refused)


@pytest.mark.parametrize(
    ("san", "host", "matches"),
    [
        ("DNS:*.example", "door.example", True),
        ("DNS:*.example", "a.door.example", False),
        ("DNS:*.example", "example", False),
        ("DNS:Door.Example", "door.example.", True),
        ("DNS:door.example", "gate.example", False),
        ("IP:10.0.0.7", "10.0.0.7", True),
        ("IP:::1", "[0:0::1]", True),
        ("DNS:10.0.0.7", "10.0.0.7", False),
        ("email:a@door.example", "door.example", False),
    ],
)
def test_a_host_is_matched_with_the_sans(ca, now, san, host, matches):
    name = core.names.San(*(core.names.SanKind(san.split(":", 1)[0]), san.split(":", 1)[1])).general_name()
    made = self_made(now=now, extensions=[x509.SubjectAlternativeName([name])])
    found = codes(look(pem(made), now, use=SERVER, hostname=host))
    assert ("hostname_matches" in found) is matches
    assert ("hostname_mismatch" in found) is not matches


def test_a_weak_key_an_unusual_key_and_a_weak_signature(ca, now):
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  the mistake itself
    assert "weak_key" in refusals(look(pem(self_made(key=weak, now=now)), now))
    assert "weak_key" in refusals(look(key_pem(weak), now))
    unusual = look(pem(self_made(key=core.private_key("P-521"), now=now)), now)
    assert "unusual_key" in codes(unusual) - refusals(unusual)
    # cryptography signs with SHA-1 no more; the rule looks at what the certificate says.
    ecdsa_sha256, ecdsa_sha1 = (
        bytes.fromhex("300a06082a8648ce3d040302"),
        bytes.fromhex("300906072a8648ce3d0401"),
    )
    signed = core.issued(core.ca(), core.record("door-1"), now=now).public_bytes(Encoding.DER)
    assert ecdsa_sha256 in signed
    assert "weak_signature" in refusals(look(with_algorithm(signed, ecdsa_sha256, ecdsa_sha1), now))


def with_algorithm(certificate, before, after):
    """A certificate that names another algorithm of its signature; its lengths are mended."""
    body = der.children(certificate)[0].content
    tbs, _, signature = der.children(body)
    return core.tlv(
        0x30,
        core.tlv(0x30, tbs.content.replace(before, after)) + after + core.tlv(0x03, signature.content),
    )


def test_a_ca_certificate_shown_as_ones_own(ca, now):
    root = Issuer.objects.get(parent=None).certificate
    assert "ca_as_leaf" in codes(look(pem(root), now))
    key = core.private_key("P-384")
    own = self_made(key=key, now=now, extensions=[x509.BasicConstraints(True, None)])
    assert "ca_as_leaf" in refusals(look(pem(own) + key_pem(key), now))


def test_the_server_certificate_of_a_tutorial_a_ca_with_a_cn_only(ca, now):
    """As `openssl req -x509 -subj /CN=localhost` makes it."""
    own = self_made("localhost", now=now, extensions=[x509.BasicConstraints(True, None)])
    assert "san_missing" in refusals(look(pem(own), now, use=SERVER, hostname="localhost"))
    assert "san_missing" not in codes(look(pem(own), now)), "nobody asks a root for its names"


def test_a_chain_in_the_wrong_order(certificate, now):
    turned = bundles.pem([certificate.issuer.certificate, certificate.parsed])
    assert "chain_order" in codes(look(turned, now))


# --- What only our records know -------------------------------------------------------------------


def test_revoked_says_when_and_why(certificate, chained, now):
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    inspected = look(chained, now)
    assert refusals(inspected) == {"certificate_revoked"}
    assert f"{now:%Y-%m-%d %H:%M} UTC" in inspected.refused[0].sentence
    assert "keyCompromise" in inspected.refused[0].sentence


def test_held(certificate, chained, now):
    revocation.revoke([certificate], Revocation.Reason.CERTIFICATE_HOLD, TESTER, now)
    assert refusals(look(chained, now)) == {"certificate_held"}


@pytest.mark.parametrize(
    ("state", "code"), [("suspended", "device_suspended"), ("retired", "device_retired")]
)
def test_a_device_that_is_not_active(door, chained, now, state, code):
    change_state(door, state, now)
    assert refusals(look(chained, now)) == {code}


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with its chain"])
def test_a_compromised_root_above_its_issuer(certificate, chained, now, alone):
    Issuer.objects.filter(parent=None).update(state="compromised")
    shown = look(pem(certificate.parsed) if alone else chained, now)
    assert refusals(shown) == {"issuer_compromised"}
    assert f"above {certificate.issuer}, is in wrong hands" in shown.refused[0].sentence


def test_a_compromised_issuer(certificate, chained, now):
    Issuer.objects.filter(pk=certificate.issuer_id).update(state="compromised")
    assert refusals(look(chained, now)) == {"issuer_compromised"}


def test_signed_by_our_ca_but_not_on_record(certificate, chained, now):
    from pki.keystore import keystore

    issuer = certificate.issuer
    builder = x509.CertificateBuilder(
        issuer.certificate.subject,
        certificate.parsed.subject,
        core.private_key("P-256").public_key(),
        int(certificate.serial, 16),
        now,
        now + DAY,
    )
    inspected = look(pem(keystore().sign(issuer.key_reference, builder)), now)
    assert "not_on_record" in refusals(inspected)
    assert certificate.serial[:8] in " ".join(each.sentence for each in inspected.refused)


def test_a_key_that_was_revoked_as_compromised(certificate, gadget, now):
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    assert refusals(look(make_csr("door-1", key=gadget.key), now)) == {"key_compromised"}


def test_another_certificate_of_a_key_of_ours_is_connected_with_it(certificate, gadget, now):
    (each,) = look(pem(self_made(key=gadget.key, now=now)), now).parts
    assert each.certificate is None
    assert each.same_key == [certificate]


# --- Keys, requests and files ---------------------------------------------------------------------


def test_what_belongs_together_is_said_to(chained, gadget, now):
    inspected = look(chained + key_pem(gadget.key) + gadget.csr, now)
    assert [each.code for each in inspected.all_findings].count("key_matches") == 2
    assert inspected.refused == []
    alone = look(key_pem(gadget.key) + gadget.csr, now)
    assert "key_matches" in codes(alone)


def test_a_key_that_does_not_fit(chained, gadget, now):
    other = Gadget("door-1")
    assert refusals(look(chained + key_pem(other.key), now)) == {"key_mismatch"}
    assert refusals(look(chained + other.csr, now)) == {"key_mismatch"}
    assert refusals(look(gadget.csr + key_pem(other.key), now)) == {"key_mismatch"}


def test_a_request_that_was_changed(ca, now):
    request = bytearray(core.csr_der("door-1"))
    request[-1] ^= 1
    assert "csr_signature_invalid" in refusals(look(bytes(request), now))


def test_a_private_key_is_warned_of(ca, gadget, now):
    assert "private_key_pasted" in codes(look(key_pem(gadget.key), now))


def test_an_encrypted_key_without_its_password_and_with_a_wrong_one(ca, gadget, now):
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        data = key_pem(gadget.key, "pw", form)
        assert "password_needed" in codes(look(data, now))
        assert "password_wrong" in codes(look(data, now, password="no"))


def p12(gadget, certificate, *, key=True, leaf=True, encryption=None):
    return pkcs12.serialize_key_and_certificates(
        b"door-1",
        gadget.key if key else None,
        certificate.parsed if leaf else None,
        authorities.chain(certificate.issuer),
        encryption or BestAvailableEncryption(b"pw"),
    )


def test_a_pkcs12_file_with_its_password(certificate, gadget, now):
    inspected = look(p12(gadget, certificate), now, password="pw")
    kinds = [each.part.kind for each in inspected.parts]
    assert kinds == [Kind.PRIVATE_KEY, Kind.CERTIFICATE, Kind.CERTIFICATE]
    assert inspected.refused == []
    assert "p12_legacy_algorithms" not in codes(inspected)


def test_a_pkcs12_file_without_its_password_and_with_a_wrong_one(certificate, gadget, now):
    data = p12(gadget, certificate)
    assert "p12_password_needed" in codes(look(data, now))
    assert "p12_wrong_password" in codes(look(data, now, password="no"))


def test_a_pkcs12_file_without_a_key_or_without_a_certificate(certificate, gadget, now):
    assert "p12_without_key" in refusals(look(p12(gadget, certificate, key=False), now, password="pw"))
    empty = pkcs12.serialize_key_and_certificates(
        None, gadget.key, None, None, BestAvailableEncryption(b"pw")
    )
    assert "p12_without_certificate" in refusals(look(empty, now, password="pw"))


def test_a_pkcs12_file_with_old_algorithms(certificate, gadget, now):
    old = (
        PrivateFormat.PKCS12.encryption_builder()
        .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
        .hmac_hash(hashes.SHA1())  # noqa: S303  the mistake itself
        .build(b"pw")
    )
    assert "p12_legacy_algorithms" in codes(
        look(p12(gadget, certificate, encryption=old), now, password="pw")
    )


def test_a_file_that_would_keep_us_busy_is_not_opened(ca, gadget, now):
    slowest = bytes.fromhex("300c") + b"\x04\x04salt" + bytes.fromhex("02047fffffff")
    assert der.most_rounds(slowest) == 0x7FFFFFFF
    scrypt = bytes.fromhex("3012") + b"\x04\x04salt" + bytes.fromhex("0204001000000201080201") + b"\x01"
    assert der.most_rounds(scrypt) > der.MOST_ROUNDS
    data = p12_of(gadget)
    rounds = der.most_rounds(data)
    short, long = der_integer(rounds), der_integer(der.MOST_ROUNDS + 1)
    assert len(short) == len(long), "so that no length around it changes"
    busy = data.replace(short, long)
    assert "too_many_rounds" in codes(look(busy, now, password="pw"))


def p12_of(gadget):
    strong = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(600_000).build(b"pw")
    return pkcs12.serialize_key_and_certificates(None, gadget.key, None, None, strong)


def der_integer(number):
    return b"\x02\x03" + number.to_bytes(3)


DAMAGES = {
    "a dash is missing": lambda text: text.replace(b"-----BEGIN", b"----BEGIN"),
    "no END line": lambda text: text.partition(b"-----END")[0],
    "cut short": lambda text: b"\n".join(text.splitlines()[:5]) + b"\n-----END CERTIFICATE-----",
    "no BEGIN line": lambda text: text.partition(b"\n")[2],
    "two labels": lambda text: text.replace(b"END CERTIFICATE", b"END CERTIFICATE REQUEST"),
    "not base64": lambda text: text.replace(b"MII", b"M*I", 1),
    "two that run together": lambda text: text.partition(b"-----END")[0] + text,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_pem_block_is_named(certificate, now, damage):
    assert "pem_damaged" in codes(look(damage(pem(certificate.parsed)), now))


def test_line_breaks_that_are_written_out(certificate, now):
    inspected = look(pem(certificate.parsed).replace(b"\n", b"\\n"), now)
    assert "escaped_line_breaks" in codes(inspected)
    assert inspected.parts[0].certificate == certificate


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"  \n", "nothing_pasted"),
        (b"hello", "not_recognised"),
        (b"\xfe\xed\xfe\xed\0\0\0\2", "not_recognised"),
        (b"ssh-ed25519 AAAA me", "not_recognised"),
        (b"x" * (recognition.LARGEST + 1), "too_large"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaA==\n-----END OPENSSH PRIVATE KEY-----", "ssh_key"),
    ],
)
def test_what_is_nothing_of_ours_is_told_what_to_do(ca, now, data, code):
    assert code in codes(look(data, now))


def test_no_more_than_fifty_parts_are_looked_at(certificate, now):
    inspected = look(pem(certificate.parsed) * (MOST_PARTS + 5), now)
    assert len(inspected.parts) == MOST_PARTS
    assert [each.code for each in inspected.findings].count("too_many_parts") == 1


# --- What must hold of all of them ----------------------------------------------------------------


def test_looking_changes_nothing_and_logs_nothing(chained, gadget, now, caplog):
    before = everything()
    with caplog.at_level(logging.DEBUG):
        look(chained + key_pem(gadget.key, "hush-hush"), now, password="hush-hush")
    assert everything() == before
    assert not [each for each in caplog.records if each.name.startswith("hatchery")]


def test_an_error_of_our_own_says_nothing_of_what_was_pasted(ca, gadget, now, monkeypatch, caplog):
    def fails(data, *_):
        raise RuntimeError(data)

    monkeypatch.setattr(recognition, "recognise", fails)
    assert codes(look(key_pem(gadget.key), now)) == {"not_understood"}
    assert "RuntimeError" in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_it_asks_the_database_a_few_times_only(
    chained, certificate, gadget, now, django_assert_max_num_queries
):
    with django_assert_max_num_queries(6):
        look(chained * 10 + key_pem(gadget.key), now)


def test_every_finding_of_something_wrong_says_what_to_do(ca, now):
    for data in (pem(self_made(now=now)), b"hello", b"-----BEGIN CERTIFICATE-----\nAA", core.csr_der()):
        for finding in look(data, now, use=SERVER, hostname="a.example").all_findings:
            if finding.severity in (Severity.REFUSED, Severity.WARNING):
                assert finding.advice, finding.code


_ONLY_SOME = x509.IssuingDistributionPoint(
    full_name=[x509.UniformResourceIdentifier("http://a.example/1.crl")],
    relative_name=None,
    only_contains_user_certs=False,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)


def unsigned_crl(name, now, *, number=1):
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=name, last_update=now - SECOND, next_update=now + DAY
    )
    return builder.add_extension(x509.CRLNumber(number), critical=False)


def strange_crl(name, key, now, *, revoked=None):
    builder = unsigned_crl(name, now)
    if revoked is not None:
        builder = builder.add_extension(_ONLY_SOME, critical=True).add_revoked_certificate(
            x509.RevokedCertificateBuilder(revoked, now)
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            .build()
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


LEAF = core.issued(core.ca(), core.record("door-1", "DNS:door.example"))
ORIGINALS = [
    LEAF.public_bytes(Encoding.DER),
    core.csr_der("door-1"),
    pkcs12.serialize_key_and_certificates(
        b"x", core.private_key("P-256"), LEAF, [core.ca().issuing], NoEncryption()
    ),
    pkcs7.serialize_certificates([LEAF, core.ca().root], Encoding.DER),
    core.private_key("P-256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
    core.private_key("P-256").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    strange_crl(LEAF.issuer, core.private_key("P-256"), core.MOMENT, revoked=LEAF.serial_number),
    ocsp.OCSPRequestBuilder().add_certificate(LEAF, core.ca().issuing, hashes.SHA256()).build()
        .public_bytes(Encoding.DER),
]  # fmt: skip
OLD_KEY = b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
PIECES = [
    *(f"-----{word} {label}-----\n".encode() for word in ("BEGIN", "END") for label in
      ("CERTIFICATE", "PRIVATE KEY", "EC PRIVATE KEY")),
    OLD_KEY, b"--BEGIN X--", b"\\n", b"\n", b"\0", b"=", b"{", b"<", b"\xff\xfe", b"MIIB",
    base64.encodebytes(LEAF.public_bytes(Encoding.DER)), pem(LEAF),
]  # fmt: skip

COMMON_NAME, COUNTRY = bytes.fromhex("0603550403"), bytes.fromhex("0603550406")


def judged(data, password=""):
    recognised = recognition.recognise(data, password)
    circumstances = diagnosis.Circumstances(
        trust.Trust([core.ca().root, core.ca().issuing]), core.MOMENT, SERVER, "door.example"
    )
    findings = diagnosis.diagnose(recognised, circumstances)
    assert all(isinstance(each, Finding) and each.sentence for each in findings)
    for crl in filter(None, (part.revocation_list for part in recognised.parts)):
        assert list_reading.read(crl).issuer
        list_reading.signed_by(crl, core.ca().issuing)
        list_reading.names(crl, core.ca().issuing)
        list_reading.entry_of(crl, LEAF.serial_number)
    numbers = {part.number for part in recognised.parts}
    assert {each.part for each in findings} <= {*numbers, None}


# What is not quite DER, a serial number that is not positive, and a country of many letters give warnings.
@pytest.mark.filterwarnings("ignore:PKCS#7 certificates could not be parsed as DER:UserWarning")
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@pytest.mark.filterwarnings("ignore:Attribute's length must be:UserWarning")
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(b"\x30\x80")
@example(b"\x30\x00")
@example(LEAF.public_bytes(Encoding.DER).replace(COMMON_NAME, COUNTRY))
@given(
    damaged(ORIGINALS)
    | st.binary(max_size=200)
    | damaged(ORIGINALS).map(base64.b64encode)
    | st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=10).map(b"".join)
)
def test_whatever_is_pasted_is_judged_and_nothing_is_raised(data):
    judged(data)
    judged(data, "pw")


def test_the_chain_is_found_by_keys_not_by_names():
    assert chains.signed_by(LEAF, core.ca().issuing)
    assert not chains.signed_by(LEAF, core.ca().root)


# --- Revocation lists and OCSP --------------------------------------------------------------------


@pytest.fixture
def lists(certificate, now):
    """The issuing CA's full list and first shard, with nothing in them."""
    publish(now)
    return {row.shard: row for row in certificate.issuer.revocation_lists.all()}


def published_anew(row, now):
    publication.publish_now([row], TESTER, now)
    row.refresh_from_db()
    return bytes(row.der)


def crl_pem(der):
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


def sentence_of(inspected, code):
    (finding,) = [finding for finding in inspected.all_findings if finding.code == code]
    return finding.sentence


@pytest.mark.parametrize("wrap", [bytes, crl_pem, base64.b64encode], ids=["DER", "PEM", "base64"])
@pytest.mark.parametrize(("shard", "words"), [(0, "the full list"), (1, "shard 1")])
def test_a_revocation_list_is_recognised_as_ours(lists, now, wrap, shard, words):
    inspected = look(wrap(bytes(lists[shard].der)), now)
    assert [each.part.kind for each in inspected.parts] == [Kind.REVOCATION_LIST]
    assert words in sentence_of(inspected, "our_crl")
    assert codes(inspected) == {"our_crl"}


def test_a_list_that_is_older_than_the_one_that_is_out_says_so(lists, now):
    old = bytes(lists[1].der)
    new = published_anew(lists[1], now + SECOND)
    inspected = look(old, now + SECOND)
    assert "number 2" in sentence_of(inspected, "crl_superseded")
    assert codes(look(new, now + SECOND)) == {"our_crl"}


def test_a_list_past_its_next_update_is_refused(lists, now):
    assert "crl_out_of_date" in refusals(look(bytes(lists[0].der), lists[0].next_update))
    assert not refusals(look(bytes(lists[0].der), lists[0].next_update - SECOND))


def test_a_list_of_the_future_tells_of_a_wrong_clock(lists, now):
    inspected = look(bytes(lists[0].der), now - timedelta(hours=3, minutes=1))
    assert "crl_not_yet_valid" in refusals(inspected)
    assert "3 hours" in sentence_of(inspected, "crl_not_yet_valid")


def test_whether_a_certificate_that_is_pasted_with_it_is_in_a_list_is_said(lists, certificate, now):
    clean = look(pem(certificate.parsed) + crl_pem(bytes(lists[1].der)), now)
    assert "part 1" in sentence_of(clean, "not_in_crl")
    revocation.revoke([certificate], Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    for shard in (0, 1):
        listed = look(
            crl_pem(published_anew(lists[shard], now + SECOND)) + pem(certificate.parsed), now + SECOND
        )
        assert "keyCompromise" in sentence_of(listed, "in_crl")
        assert "in_crl" in refusals(listed)


def test_a_list_that_a_certificate_does_not_name_says_nothing_of_it(lists, certificate, now):
    other = RevocationList.objects.create(
        issuer=certificate.issuer, shard=2, url=lists[1].url.replace("/1.crl", "/2.crl"), opened_at=now
    )
    inspected = look(crl_pem(published_anew(other, now)) + pem(certificate.parsed), now)
    assert "crl_of_others" in codes(inspected)
    assert not codes(inspected) & {"in_crl", "not_in_crl"}


def test_a_list_of_somebody_else_and_one_in_our_name(lists, certificate, now):
    stranger = core.private_key("P-256")
    assert codes(look(strange_crl(certificate.parsed.subject, stranger, now), now)) == {"not_ours"}
    forged = look(strange_crl(certificate.parsed.issuer, stranger, now), now)
    assert refusals(forged) == {"crl_signature_invalid"}


def test_a_list_that_our_key_signed_and_nobody_remembers(lists, certificate, now):
    """As after a backup was put back, from before it was made."""
    unsigned = unsigned_crl(certificate.parsed.issuer, now, number=lists[0].number + 1)
    signed = keystore().sign(certificate.issuer.key_reference, unsigned).public_bytes(Encoding.DER)
    assert codes(look(signed, now)) == {"our_crl", "not_on_record"}


def test_ocsp_is_recognised_by_name(certificate, now):
    issuer = certificate.issuer.certificate
    request = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer, hashes.SHA256()).build()
    answer = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    for message, kind in ((request, Kind.OCSP_REQUEST), (answer, Kind.OCSP_ANSWER)):
        inspected = look(message.public_bytes(Encoding.DER), now)
        assert [each.part.kind for each in inspected.parts] == [kind]
        assert not refusals(inspected)


def test_an_ocsp_request_about_several_is_one_too(certificate, now):
    issuer = certificate.issuer.certificate
    one = ocsp.OCSPRequestBuilder().add_certificate(certificate.parsed, issuer, hashes.SHA256()).build()
    content = one.public_bytes(Encoding.DER)
    for _ in range(3):  # down to the list of requests
        content = der.children(content)[0].content
    several = content * 2
    for _ in range(3):
        length = len(several)
        several = bytes([0x30, 0x81, length]) + several if length > 127 else bytes([0x30, length]) + several
    assert [each.part.kind for each in look(several, now).parts] == [Kind.OCSP_REQUEST]


def test_what_hatchery_made_for_its_own_work_is_known(certificate, now):

    root = authorities.root_of(certificate.issuer)
    succession.make_next(root, "P-256", TESTER, now)
    bundle.current(now)
    signers = [
        x509.load_der_x509_certificate(bytes(each.certificate_der)) for each in BundleSigner.objects.all()
    ]
    responder = responder_of(certificate.issuer, now).certificate
    crosses = [each.certificate for each in CrossCertificate.objects.all()]
    for shown in (*signers, responder, *crosses):
        inspected = look(pem(shown), now)
        assert "ours" in codes(inspected)
        assert "not_on_record" not in codes(inspected)
    authorities.change_state(root, Issuer.State.COMPROMISED, TESTER, now)
    for shown in crosses:
        assert "issuer_compromised" in refusals(look(pem(shown), now))
