"""POST /sign-csr and all that can be wrong with it: status and code, and nothing stored but the refusal."""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from django.db import connection
from django.utils import timezone

from pki.core import csr
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, EnrollmentToken
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from tests.clients import make_csr
from tests.core.cast import block, csr_der, private_key, request_info, signed_anew
from tests.endpoints.problems import assert_problem
from tests.services.cast import DAY, TESTER, pattern_token, registered, token_for

CSR = "CERTIFICATE REQUEST"
MEGABYTE = 1024 * 1024

# cryptography warns of a CN that is too long, and it is refused by us; the DSA key is refused as well.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Unreadable(io.RawIOBase):
    """A body that must not be read."""

    def readinto(self, buffer):
        raise AssertionError("the body was read")


class Gone(io.RawIOBase):
    """A body of a client that is gone."""

    def readinto(self, buffer):
        raise ConnectionResetError


# --- Tokens, by what is wrong with them -----------------------------------------------------------


def cancelled(now):
    secret = pattern_token("*", now)
    tokens.cancel(tokens.find(secret, now), TESTER, now)
    return secret


def used_up(now):
    secret = pattern_token("*", now)
    assert tokens.claim(tokens.find(secret, now), now)
    return secret


TOKENS: dict[str, Callable[..., str | None]] = {
    "good": lambda now: pattern_token("*", now),
    "for door-*": lambda now: pattern_token("door-*", now),
    "for door-1": lambda now: token_for(devices.find("door-1"), now),
    "none": lambda now: None,
    "wrong": lambda now: "hatch_" + "A" * 43,
    "empty": lambda now: "",
    "expired": lambda now: pattern_token("*", now - 2 * DAY, lifetime=DAY),
    "cancelled": cancelled,
    "used up": used_up,
}


# --- The table ------------------------------------------------------------------------------------


@dataclass
class Bad:
    """One bad request: a body and a token, and what is answered."""

    what: str
    status: int
    code: str
    body: Callable[[], bytes] = lambda: make_csr("door-9")
    token: str = "good"
    environ: dict[str, Any] = field(default_factory=dict)


def with_another_name_after_signing():
    return block(CSR, csr_der("door-8").replace(b"door-8", b"door-9"))


def of_another_version():
    info = request_info(csr_der(key=private_key("P-256")))
    return block(CSR, signed_anew(info.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1)))


def with_an_unknown_tls_feature():
    oid, value = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.24"), bytes.fromhex("3003020107")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    key = private_key("Ed25519")
    return builder.sign(key, None).public_bytes(Encoding.PEM)


def key_pem(kind="P-256"):
    return private_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def named(name):
    return lambda: make_csr(name)


def keyed(kind):
    return lambda: make_csr("door-9", key=private_key(kind))


def unread(length):
    return {"CONTENT_LENGTH": length, "wsgi.input": Unreadable()}


TABLE = [
    # what is sent                          answer                            body, token
    Bad("nothing", 400, "csr_missing", lambda: b""),
    Bad("white space", 400, "csr_missing", lambda: b" \r\n"),
    Bad("words", 400, "csr_not_pem", lambda: b"a certificate, please"),
    Bad("a form", 400, "csr_not_pem", lambda: b"csr=" + b"A" * 100),
    Bad("a CSR in DER", 400, "csr_not_pem", lambda: csr_der("door-9")),
    Bad("a truncated CSR", 400, "csr_malformed", lambda: block(CSR, csr_der("door-9")[:-20])),
    Bad("a CSR without its end", 400, "csr_malformed", lambda: make_csr("door-9")[:-20]),
    Bad("less than was announced", 400, "csr_missing", lambda: b"", environ={"CONTENT_LENGTH": "500"}),
    Bad("a certificate", 400, "csr_wrong_label", lambda: block("CERTIFICATE", csr_der())),
    Bad("two CSRs", 400, "csr_wrong_label", lambda: make_csr("door-8") + make_csr("door-9")),
    Bad("a private key", 400, "private_key_sent", key_pem),
    Bad("a CSR and its key", 400, "private_key_sent", lambda: make_csr("door-9") + key_pem()),
    Bad("a forged signature", 400, "csr_signature_invalid", with_another_name_after_signing),
    Bad("another version", 400, "csr_malformed", of_another_version),
    Bad("an unknown extension value", 400, "csr_malformed", with_an_unknown_tls_feature),
    Bad("an RSA-1024 key", 400, "key_refused", keyed("RSA-1024")),
    Bad("a P-521 key", 400, "key_refused", keyed("P-521")),
    Bad("a secp256k1 key", 400, "key_refused", keyed("secp256k1")),
    Bad("a DSA key", 400, "key_refused", keyed("DSA")),
    Bad("an Ed448 key", 400, "key_refused", keyed("Ed448")),
    Bad("a NUL in the CN", 400, "name_refused", named("door\0-9")),
    Bad("a line break in the CN", 400, "name_refused", named("door-9\nroot logged in")),
    Bad("a CN from right to left", 400, "name_refused", named("\u202e9-rood")),
    Bad("10,000 characters in the CN", 400, "name_refused", named("x" * 10_000)),
    Bad("65 characters in the CN", 400, "name_refused", named("x" * 65)),
    Bad("an empty CN", 400, "name_refused", named("")),
    Bad("no CN, with a token for new devices", 400, "name_missing", named(None)),
    Bad("the CN of another device", 403, "name_mismatch", named("door-2"), "for door-1"),
    Bad("the CN of a device that there is", 403, "device_exists", named("door-1")),
    Bad("a CN that the pattern does not cover", 403, "name_not_allowed", named("gate-9"), "for door-*"),
    Bad("no token", 401, "token_missing", token="none"),
    Bad("no token, for a device that there is", 401, "token_missing", named("door-1"), "none"),
    Bad("a wrong token", 401, "token_invalid", token="wrong"),
    Bad("an empty token", 401, "token_invalid", token="empty"),
    Bad("an expired token", 401, "token_invalid", token="expired"),
    Bad("a cancelled token", 401, "token_invalid", token="cancelled"),
    Bad("a used up token", 401, "token_invalid", token="used up"),
    Bad("a password", 401, "token_invalid", token="none", environ={"HTTP_AUTHORIZATION": "Basic YTpi"}),
    Bad("a megabyte", 413, "body_too_large", environ=unread(str(MEGABYTE))),
    Bad("one byte too many", 413, "body_too_large", environ=unread(str(csr.LARGEST_CSR + 1))),
    Bad("chunks", 411, "length_required", environ={"HTTP_TRANSFER_ENCODING": "chunked", **unread("")}),
    # gunicorn's parser lets none of these through; what did would be no different.
    Bad("a length below nothing", 413, "body_too_large", environ=unread("-1")),
    Bad("a length that is no number", 413, "body_too_large", environ=unread("much")),
    Bad("a length of a superscript", 413, "body_too_large", environ=unread("²")),
    Bad("a length of 5,000 digits", 413, "body_too_large", environ=unread("9" * 5000)),
]  # fmt: skip

bad_input = pytest.mark.parametrize("bad", TABLE, ids=[bad.what for bad in TABLE])


@pytest.fixture
def send(provisioning, now):
    """Send a bad request, with a device on record that others may not pass for."""
    registered("door-1", now)

    def send(bad: Bad):
        return provisioning.post("/sign-csr", bad.body(), token=TOKENS[bad.token](now), **bad.environ)

    return send


@bad_input
def test_it_is_answered_with_a_problem(send, bad):
    response = send(bad)
    assert_problem(response, bad.status, bad.code)
    challenge = 'Bearer realm="enrollment"' if bad.status == 401 else None
    assert response.headers.get("WWW-Authenticate") == challenge


@bad_input
def test_nothing_is_stored_but_the_refusal(send, bad):
    certificates, known = Certificate.objects.count(), Device.objects.count()
    send(bad)
    assert (Certificate.objects.count(), Device.objects.count()) == (certificates, known)
    kept = EnrollmentRequest.objects.get()
    assert (kept.state, kept.code) == (EnrollmentRequest.State.REFUSED, bad.code)
    assert kept.certificate is None
    assert kept.address == "127.0.0.1"
    assert kept.reason
    assert kept.name.isprintable()
    event = AuditEvent.objects.get(kind="enrollment.refused")
    assert event.detail["code"] == bad.code


@bad_input
def test_it_uses_no_token_up(send, bad):
    used_before = {"used up": 1}.get(bad.token, 0)
    send(bad)
    assert sum(EnrollmentToken.objects.values_list("uses", flat=True)) == used_before


@bad_input
def test_it_leaves_no_traceback_in_the_log(send, bad, caplog):
    caplog.set_level(logging.DEBUG)
    send(bad)
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


def test_a_good_request_among_them_is_granted(send):
    """Otherwise the table above would prove nothing."""
    response = send(Bad("nothing wrong", 200, ""))
    assert response.status_code == 200
    assert response["Content-Type"] == "application/x-pem-file"
    leaf, issuing = x509.load_pem_x509_certificates(response.content)
    assert leaf.subject.rfc4514_string() == "CN=door-9"
    leaf.verify_directly_issued_by(issuing)
    assert bytes(Certificate.objects.get(device__name="door-9").der) == leaf.public_bytes(Encoding.DER)


def test_the_largest_csr_that_is_read_is_granted(send):
    pem = make_csr("door-9")
    body = b"#" * (csr.LARGEST_CSR - len(pem) - 1) + b"\n" + pem
    assert send(Bad("a large one", 200, "", lambda: body)).status_code == 200


# --- What the answers must not tell ---------------------------------------------------------------


def test_the_answer_does_not_tell_which_tokens_exist(send):
    answers = set()
    for token in ("wrong", "empty", "expired", "cancelled", "used up"):
        response = send(Bad("", 401, "token_invalid", token=token))
        assert response.headers.pop("X-Request-Id")  # another one for each
        answers.add((response.status_code, response.content, tuple(sorted(response.items()))))
    assert len(answers) == 1


@pytest.mark.parametrize("token", ["none", "wrong"])
def test_without_a_token_the_answer_does_not_tell_which_devices_exist(send, token):
    known, unknown = (send(Bad("", 401, "", named(name), token)).content for name in ("door-1", "door-99"))
    assert known == unknown


# --- Private keys that were sent ------------------------------------------------------------------

KEY_FORMATS = {
    "PKCS#8": (PrivateFormat.PKCS8, "P-256"),
    "SEC 1": (PrivateFormat.TraditionalOpenSSL, "P-256"),
    "PKCS#1": (PrivateFormat.TraditionalOpenSSL, "RSA-2048"),
    "OpenSSH": (PrivateFormat.OpenSSH, "Ed25519"),
}


def stored():
    """Every value of every row of the database, as bytes."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608  no user's words
            for row in cursor.fetchall():
                for value in row:
                    yield bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()


@pytest.mark.parametrize("company", ["alone", "with a CSR", "with too much"])
@pytest.mark.parametrize(("form", "kind"), KEY_FORMATS.values(), ids=KEY_FORMATS)
def test_a_private_key_that_was_sent_is_stored_and_logged_nowhere(send, caplog, ca, form, kind, company):
    caplog.set_level(logging.DEBUG)
    pem = private_key(kind).private_bytes(Encoding.PEM, form, NoEncryption())
    der = private_key(kind).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    around = {"alone": b"", "with a CSR": make_csr("door-9"), "with too much": b"#" * MEGABYTE}[company]
    response = send(Bad("a private key", 400, "", lambda: around + pem))
    assert response.status_code in (400, 413)
    secrets = [*pem.splitlines()[1:-1], der[-48:]]
    files = [path.read_bytes() for path in ca.rglob("*") if path.is_file()]
    log = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records).encode()
    for place in (*stored(), *files, log, response.content):
        assert not any(secret in place for secret in secrets)
    assert any(b"private_key_sent" in value or b"body_too_large" in value for value in stored())


def test_a_csr_that_was_refused_is_kept_for_the_console_and_a_body_that_is_none_is_not(send):
    send(Bad("", 403, "", named("door-2"), "for door-1"))
    assert csr.verify_der(bytes(EnrollmentRequest.objects.get().csr_der)).common_name == "door-2"
    EnrollmentRequest.objects.all().delete()
    send(Bad("", 400, "", with_another_name_after_signing))
    assert EnrollmentRequest.objects.get().csr_der is None


# --- Other methods and addresses ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused_with_those_that_are_allowed(provisioning, method):
    response = provisioning.generic(method, "/sign-csr")
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert response["Content-Type"] == "application/problem+json"
    if method != "HEAD":
        assert_problem(response, 405, "method_not_allowed")
    assert EnrollmentRequest.objects.get().code == "method_not_allowed"


@pytest.mark.parametrize(
    "path", ["/", "/sign-csr/", "/hello", "/secure", "/admin/", "/sign-csr/..", "/%00", "/é"]
)
def test_nothing_else_is_served_here(provisioning, path):
    assert_problem(provisioning.post(path), 404, "not_found")


def test_a_client_that_goes_away_before_its_body_ends_is_no_failure_of_ours(send, caplog):
    response = send(Bad("", 400, "", environ={"CONTENT_LENGTH": "500", "wsgi.input": Gone()}))
    assert response.status_code == 400
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


def test_what_is_refused_again_and_again_is_kept_once(send):
    bad = Bad("", 400, "csr_missing", lambda: b"")
    before = timezone.now()
    for _ in range(5):
        send(bad)
    kept = EnrollmentRequest.objects.get()
    assert kept.count == 5
    assert before <= kept.created_at <= kept.last_at
