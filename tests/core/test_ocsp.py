"""OCSP requests are read or refused by name, and answers say what they are told (RFC 6960, 5019, 9654)."""

import base64
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as wire
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pki.core import certificates, keys, ocsp
from tests.core.cast import DAY, MOMENT, SECOND, ca, issued, private_key, record, sign
from tests.core.ocsp_cast import (
    NONCE,
    SHA1,
    SHA256,
    asked,
    asked_by_hash,
    nonce,
    signature,
    single,
    strange,
    told,
    whole,
)

often = settings(max_examples=400, deadline=None)
KINDS = ["P-256", "P-384", "Ed25519", "RSA-2048"]
HOUR = timedelta(hours=1)


# --- Requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [SHA1, SHA256], ids=["sha1", "sha256"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_names_its_issuer_and_serial(kind, algorithm):
    of = ca(kind)
    device = issued(of, record("door-1"))
    request = ocsp.read(asked(device, of.issuing, algorithm, NONCE))
    assert (request.certificate.serial, request.nonce) == (device.serial_number, NONCE)
    named = request.certificate
    its = (named.algorithm, named.issuer_name_hash, named.issuer_key_hash)
    assert its in ocsp.hashes_of(of.issuing)
    assert its not in ocsp.hashes_of(of.root)


def test_without_a_nonce_there_is_none():
    assert ocsp.read(whole(single())).nonce is None


@pytest.mark.parametrize("size", [1, 16, 32, 127, 128])
def test_a_nonce_of_1_to_128_octets_is_read(size):
    assert ocsp.read(whole(single(), extensions=nonce(b"x" * size))).nonce == b"x" * size


@pytest.mark.parametrize("size", [0, 129, 1000])
def test_no_other_nonce_is(size):
    with pytest.raises(ocsp.NonceRefused):
        ocsp.read(whole(single(), extensions=nonce(b"x" * size)))


@pytest.mark.parametrize("number", [0, 2, 1000])
def test_a_request_about_any_number_of_certificates_but_one_is_refused(number):
    with pytest.raises(ocsp.SeveralCertificates):
        ocsp.read(whole(*[single()] * number))


@pytest.mark.parametrize(
    "der",
    [
        b"",
        b"\0",
        b"\x30\x80",
        whole(single()) + b"\0",
        whole(single())[:-1],
        whole(single(serial=b"")),
        whole(single(serial=b"\0\0\1")),
        whole(single(serial=b"\xff")),
        whole(single(serial=b"\x01" + b"\0" * 20)),
        whole(single(), extensions=nonce(NONCE) * 2),
        base64.b64encode(whole(single())),
    ],
    ids=[
        "nothing",
        "a NUL",
        "BER",
        "more behind it",
        "cut off",
        "no serial",
        "padded serial",
        "negative serial",
        "serial of 21 octets",
        "two nonces",
        "base64",
    ],
)
def test_what_is_no_request_is_malformed(der):
    with pytest.raises(ocsp.MalformedRequest) as refused:
        ocsp.read(der)
    assert type(refused.value) is ocsp.MalformedRequest


@pytest.mark.parametrize("serial", [0, 1, 2**64, 2**159 - 1])
def test_a_serial_of_up_to_20_octets_is_read(serial):
    assert ocsp.read(asked_by_hash(b"n" * 20, b"k" * 20, serial)).certificate.serial == serial


@pytest.mark.parametrize(
    ("critical", "plain"),
    [
        (
            whole(single(), extensions=strange(critical=True)),
            whole(single(), extensions=strange(critical=False)),
        ),
        (
            whole(single(extensions=strange(critical=True))),
            whole(single(extensions=strange(critical=False))),
        ),
        (
            whole(single(extensions=strange(critical=False) + strange(critical=True)), requestor=b"\x82\1x"),
            whole(single(extensions=strange(critical=False)), requestor=b"\x82\1x"),
        ),
    ],
    ids=["of the request", "of the certificate", "second, after a requestor's name"],
)
def test_an_unknown_extension_is_refused_if_it_is_critical(critical, plain):
    assert ocsp.read(plain).certificate.serial == 1
    with pytest.raises(ocsp.CriticalExtension):
        ocsp.read(critical)


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA384(), hashes.SHA512()])
def test_an_issuer_that_is_named_by_another_hash_is_nobody_we_know(algorithm):
    size = algorithm.digest_size
    with pytest.raises(ocsp.UnknownHash):
        ocsp.read(asked_by_hash(b"n" * size, b"k" * size, 1, algorithm))


def test_and_so_is_one_by_a_hash_that_nobody_knows():
    md5 = bytes.fromhex("300c06082a864886f70d02050500")
    with pytest.raises(ocsp.UnknownHash):
        ocsp.read(whole(single(algorithm=md5)))


def test_a_signed_request_is_read_as_others():
    assert ocsp.read(whole(single(), signature=signature())) == ocsp.read(whole(single()))


RICH = whole(
    single(extensions=strange(critical=False)),
    extensions=nonce(NONCE) + strange(critical=False),
    signature=signature(),
    requestor=b"\x82\x06door-1",
)


def read_or_refused(der):
    """What must hold of any bytes. Anything else that is raised fails the test."""
    try:
        request = ocsp.read(der)
    except ocsp.OcspRefused as refused:
        error = told(ocsp.error(refused.status))
        if error not in ("malformed_request", "unauthorized"):
            raise
        return
    answer = ocsp.answer(request, ocsp.UNKNOWN, responder(), MOMENT, MOMENT + HOUR)
    try:
        signed = answer.sign(private_key("P-256"), SHA256)
    except ValueError:
        # cryptography will not build these; the service answers them as an issuer that is not known.
        named = request.certificate
        sizes = {len(named.issuer_name_hash), len(named.issuer_key_hash)}
        assert sizes != {{"sha1": 20, "sha256": 32}[named.algorithm]}
    else:
        assert told(signed.public_bytes(Encoding.DER)) == "unknown"


@often
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(der):
    read_or_refused(der)


@often
@given(st.data())
def test_a_request_with_bytes_changed_is_read_or_refused(data):
    der = bytearray(data.draw(st.sampled_from([RICH, whole(single()), whole(single(), single())])))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(der) - 1))
        match data.draw(st.sampled_from(["set", "insert", "delete"])):
            case "set":
                der[place] = data.draw(st.integers(0, 255))
            case "insert":
                der[place:place] = data.draw(st.binary(min_size=1, max_size=4))
            case "delete" if len(der) > 1:
                del der[place]
    read_or_refused(bytes(der))


# --- GET ------------------------------------------------------------------------------------------


def test_the_path_of_a_get_is_base64():
    der = whole(single(b"\xfb" * 20, b"\xff" * 20))
    text = base64.b64encode(der).decode()
    assert "+" in text
    assert "/" in text
    assert ocsp.from_path(text) == der


@pytest.mark.parametrize("size", [1, 2, 3])
def test_missing_padding_and_a_slash_too_many_do_no_harm(size):
    der = whole(single(serial=b"\1" * size))
    text = base64.b64encode(der).decode()
    assert ocsp.from_path(text.rstrip("=")) == ocsp.from_path("/" + text) == der


@pytest.mark.parametrize("path", ["M", "MEkw-_", "ME kw", "ME%2Bw", "é", "MEkw\n", "ME=w", "M\0E"])
def test_a_mangled_path_is_malformed(path):
    with pytest.raises(ocsp.MalformedRequest):
        ocsp.from_path(path)


@often
@given(st.text(max_size=60))
@example("=")
def test_any_path_is_decoded_or_refused(path):
    try:
        ocsp.from_path(path)
    except ocsp.MalformedRequest:
        return
    assert path.isascii()


# --- Answers --------------------------------------------------------------------------------------


def responder(kind="P-256"):
    """A responder's certificate whose key is the tests' own of that kind."""
    of = ca(kind)
    builder = certificates.ocsp_responder(private_key(kind).public_key(), 7 * DAY, of.issuing, MOMENT)
    return sign(builder, of.issuing_key)


def answered(status, *, kind="P-256", algorithm=SHA1, sent=None):
    of = ca(kind)
    request = ocsp.read(asked(issued(of, record("door-1")), of.issuing, algorithm, sent))
    key = private_key(kind)
    signed = ocsp.answer(request, status, responder(kind), MOMENT, MOMENT + HOUR).sign(
        key, keys.signature_hash(key)
    )
    return request.certificate, wire.load_der_ocsp_response(signed.public_bytes(Encoding.DER))


@pytest.mark.parametrize("algorithm", [SHA1, SHA256], ids=["sha1", "sha256"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_about_what_was_asked_and_by_the_responder(kind, algorithm):
    about, answer = answered(ocsp.GOOD, kind=kind, algorithm=algorithm)
    assert answer.certificate_status is wire.OCSPCertStatus.GOOD
    assert (answer.issuer_name_hash, answer.issuer_key_hash, answer.serial_number) == (
        about.issuer_name_hash,
        about.issuer_key_hash,
        about.serial,
    )
    assert answer.hash_algorithm.name == algorithm.name
    assert (answer.this_update_utc, answer.next_update_utc) == (MOMENT, MOMENT + HOUR)
    [along] = answer.certificates
    assert along.public_key() == private_key(kind).public_key()
    digest = along.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert (answer.responder_key_hash, answer.responder_name) == (digest, None)


@pytest.mark.parametrize(
    "reason", [each.value for each in x509.ReasonFlags if each is not x509.ReasonFlags.unspecified]
)
def test_revoked_says_since_when_and_why(reason):
    _, answer = answered(ocsp.revoked(MOMENT - DAY + timedelta(microseconds=5), reason))
    assert answer.certificate_status is wire.OCSPCertStatus.REVOKED
    assert answer.revocation_time_utc == MOMENT - DAY
    assert answer.revocation_reason.value == reason


def test_an_unspecified_reason_is_left_out():
    _, answer = answered(ocsp.revoked(MOMENT, "unspecified"))
    assert (answer.revocation_time_utc, answer.revocation_reason) == (MOMENT, None)


def test_a_nonce_is_echoed_and_none_is_made_up():
    _, with_nonce = answered(ocsp.GOOD, sent=NONCE)
    assert with_nonce.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == NONCE
    _, without = answered(ocsp.GOOD)
    assert list(without.extensions) == []


@pytest.mark.parametrize(
    "status", [each for each in wire.OCSPResponseStatus if each is not wire.OCSPResponseStatus.SUCCESSFUL]
)
def test_an_error_says_which_and_nothing_else(status):
    assert wire.load_der_ocsp_response(ocsp.error(status)).response_status is status


# --- The responder's certificate ------------------------------------------------------------------


def test_a_responder_may_sign_answers_and_nothing_else():
    extensions = responder().extensions
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        x509.ExtendedKeyUsageOID.OCSP_SIGNING
    ]
    assert extensions.get_extension_for_class(x509.OCSPNoCheck).critical is False
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert not usage.crl_sign


def test_nobody_is_sent_to_ask_about_it():
    for kind in (x509.AuthorityInformationAccess, x509.CRLDistributionPoints):
        with pytest.raises(x509.ExtensionNotFound):
            responder().extensions.get_extension_for_class(kind)


def test_it_never_outlives_its_issuer():
    of = ca()
    end = of.issuing.not_valid_after_utc
    key = private_key("P-256").public_key()
    late = sign(certificates.ocsp_responder(key, 7 * DAY, of.issuing, end - DAY), of.issuing_key)
    assert late.not_valid_after_utc == end
    with pytest.raises(certificates.IssuerExpired):
        certificates.ocsp_responder(key, 7 * DAY, of.issuing, end + SECOND)
