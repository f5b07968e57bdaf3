"""What is answered to OCSP requests: what the database says now, with a signature made before if it can."""

import re
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509 import ocsp as wire
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import ocsp
from pki.core.ocsp import GOOD, Status
from pki.models import Certificate, Device, Issuer, Responder, Revocation
from pki.services.issuing import authorities
from pki.services.publishing import known_issuers, ocsp_answers, revocation_status
from pki.services.publishing.ocsp_answers import KEPT, Answer, Answers
from pki.services.revoking import revocation
from tests.core.ocsp_cast import NONCE, SHA1, SHA256, asked, asked_by_hash, told
from tests.services.cast import DAY, SECOND, TESTER, change_state, issue, registered

Reason = Revocation.Reason
HOUR = timedelta(hours=1)


@pytest.fixture
def certificate(ca, now) -> Certificate:
    return issue(registered("door-1", now), now)


def ask(certificate, now, algorithm=SHA1, nonce=None) -> wire.OCSPResponse:
    answer = ocsp_answers.answer(request_of(certificate, algorithm, nonce), now)
    return wire.load_der_ocsp_response(answer.der)


def request_of(certificate, algorithm=SHA1, nonce=None) -> bytes:
    return asked(certificate.parsed, certificate.issuer.certificate, algorithm, nonce)


def ask_about(issuer: Issuer, serial: int, now) -> str:
    [(_, name, key), *_] = ocsp.hashes_of(issuer.certificate)
    return told(ocsp_answers.answer(asked_by_hash(name, key, serial), now).der)


def verified(answer: wire.OCSPResponse, issuer: Issuer) -> x509.Certificate:
    """The responder's certificate, of an answer that it signed, and that the issuer signed itself."""
    [responder] = answer.certificates
    responder.verify_directly_issued_by(issuer.certificate)
    key, digest = responder.public_key(), answer.signature_hash_algorithm
    match key:
        case ec.EllipticCurvePublicKey():
            key.verify(answer.signature, answer.tbs_response_bytes, ec.ECDSA(digest))
        case ed25519.Ed25519PublicKey():
            key.verify(answer.signature, answer.tbs_response_bytes)
        case rsa.RSAPublicKey():
            key.verify(answer.signature, answer.tbs_response_bytes, padding.PKCS1v15(), digest)
    return responder


@pytest.mark.parametrize("algorithm", [SHA1, SHA256], ids=["sha1", "sha256"])
def test_a_certificate_that_stands_is_good(certificate, now, algorithm):
    answer = ask(certificate, now, algorithm)
    assert answer.certificate_status is wire.OCSPCertStatus.GOOD
    assert answer.serial_number == certificate.parsed.serial_number
    verified(answer, certificate.issuer)


@pytest.mark.parametrize("spec", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_answers_are_signed_by_a_responder_with_a_key_of_its_issuers_kind(ca, now, spec):
    issuer = authorities.make_root("Another Root", spec, TESTER, now)
    answer = wire.load_der_ocsp_response(
        ocsp_answers.answer(asked(issuer.certificate, issuer.certificate, SHA1), now).der
    )
    responder = verified(answer, issuer)
    assert type(responder.public_key()) is type(issuer.certificate.public_key())
    assert answer.certificate_status is wire.OCSPCertStatus.GOOD


@pytest.mark.parametrize("reason", Reason)
def test_a_revoked_one_is_revoked_since_then_for_that_reason(certificate, now, reason):
    assert ask(certificate, now).certificate_status is wire.OCSPCertStatus.GOOD
    revocation.revoke([certificate], reason, TESTER, now + SECOND)
    answer = ask(certificate, now + SECOND)
    assert answer.certificate_status is wire.OCSPCertStatus.REVOKED
    assert answer.revocation_time_utc == (now + SECOND).replace(microsecond=0)
    said = answer.revocation_reason
    assert (said.value if said else "unspecified") == reason


def test_when_a_hold_is_lifted_it_is_good_again(certificate, now):
    revocation.revoke([certificate], Reason.CERTIFICATE_HOLD, TESTER, now)
    assert ask(certificate, now).certificate_status is wire.OCSPCertStatus.REVOKED
    revocation.lift([certificate], TESTER, now)
    assert ask(certificate, now).certificate_status is wire.OCSPCertStatus.GOOD


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_device_that_is_stopped_here_is_not_revoked_everywhere(certificate, now, state):
    change_state(certificate.device, state, now)
    assert ask(certificate, now).certificate_status is wire.OCSPCertStatus.GOOD


def test_an_expired_certificate_is_answered_like_others(certificate, now):
    late = certificate.not_after + DAY
    assert ask(certificate, late).certificate_status is wire.OCSPCertStatus.GOOD
    revocation.revoke([certificate], Reason.SUPERSEDED, TESTER, late)
    assert ask(certificate, late).certificate_status is wire.OCSPCertStatus.REVOKED


@pytest.mark.parametrize("serial", [0, 1, 2**159 - 1])
def test_a_serial_that_was_never_issued_is_unknown(certificate, now, serial):
    assert ask_about(certificate.issuer, serial, now) == "unknown"


def test_a_serial_is_known_under_its_own_issuer_only(certificate, now):
    serial = certificate.parsed.serial_number
    assert ask_about(certificate.issuer, serial, now) == "good"
    assert ask_about(certificate.issuer.parent, serial, now) == "unknown"


def test_a_responders_own_certificate_is_good(certificate, now):
    [responder] = ask(certificate, now).certificates
    assert ask_about(certificate.issuer, responder.serial_number, now) == "good"


# --- Issuers --------------------------------------------------------------------------------------


def test_a_ca_is_good_until_it_is_declared_compromised(certificate, now):
    issuer = certificate.issuer
    request = asked(issuer.certificate, issuer.parent.certificate)
    assert told(ocsp_answers.answer(request, now).der) == "good"
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    answer = wire.load_der_ocsp_response(ocsp_answers.answer(request, now).der)
    assert answer.revocation_reason is x509.ReasonFlags.ca_compromise
    assert answer.revocation_time_utc == now.replace(microsecond=0)
    verified(answer, issuer.parent)


def test_nothing_that_a_compromised_issuer_may_have_signed_is_good(certificate, now):
    issuer = certificate.issuer
    [responder] = ask(certificate, now).certificates
    authorities.change_state(issuer, Issuer.State.COMPROMISED, TESTER, now)
    answer = ask(certificate, now)
    assert answer.revocation_reason is x509.ReasonFlags.ca_compromise
    assert answer.revocation_time_utc == now.replace(microsecond=0)
    verified(answer, issuer)
    for serial in (responder.serial_number, 77):
        assert ask_about(issuer, serial, now) == "revoked"


def test_nor_is_a_ca_under_a_compromised_root(certificate, now):
    root = certificate.issuer.parent
    authorities.change_state(root, Issuer.State.COMPROMISED, TESTER, now)
    for issuer in (certificate.issuer, root):
        answer = wire.load_der_ocsp_response(
            ocsp_answers.answer(asked(issuer.certificate, root.certificate), now).der
        )
        assert answer.revocation_reason is x509.ReasonFlags.ca_compromise


@pytest.mark.parametrize(
    ("reason", "told"), [(Reason.SUPERSEDED, "superseded"), (Reason.CERTIFICATE_HOLD, "cACompromise")]
)
def test_what_was_revoked_before_the_compromise_stays_so_and_a_hold_does_not(certificate, now, reason, told):
    revocation.revoke([certificate], reason, TESTER, now)
    authorities.change_state(certificate.issuer, Issuer.State.COMPROMISED, TESTER, now + HOUR)
    assert ask(certificate, now + HOUR).revocation_reason.value == told


def test_a_retired_issuer_answers_as_before(certificate, now):
    issuer = certificate.issuer
    authorities.change_state(issuer, Issuer.State.RETIRED, TESTER, now, confirmed_name=issuer.name)
    assert ask(certificate, now).certificate_status is wire.OCSPCertStatus.GOOD
    assert ask_about(certificate.issuer.parent, certificate.issuer.certificate.serial_number, now) == "good"


@pytest.mark.parametrize("wrong", ["name", "key", "both"])
def test_an_issuer_is_known_by_both_hashes_or_not_at_all(certificate, now, wrong):
    [(_, name, key), *_] = ocsp.hashes_of(certificate.issuer.certificate)
    [(_, other_name, other_key), *_] = ocsp.hashes_of(certificate.issuer.parent.certificate)
    request = asked_by_hash(other_name if wrong == "name" else name, other_key if wrong == "key" else key, 1)
    if wrong == "both":
        request = asked_by_hash(b"n" * 20, b"k" * 20, 1)
    with pytest.raises(ocsp.NotAuthoritative):
        ocsp_answers.answer(request, now)


def test_who_asks_about_strangers_costs_one_look_into_the_database(ca, now, monkeypatch):
    monkeypatch.setattr(known_issuers, "READ_AGAIN_SECONDS", 3600.0)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for serial in range(20):
            with pytest.raises(ocsp.NotAuthoritative):
                ocsp_answers.answer(asked_by_hash(b"n" * 20, b"k" * 20, serial), now)
    assert len(queries) == 2, "the issuers, and the cross-certificates"


def test_and_a_new_issuer_is_known_after_the_shortest_while(certificate, now, monkeypatch):
    assert ask(certificate, now)
    issuer = authorities.make_root("Another Root", "P-256", TESTER, now)
    request = asked(issuer.certificate, issuer.certificate)
    with pytest.raises(ocsp.NotAuthoritative):
        ocsp_answers.answer(request, now)
    monkeypatch.setattr(known_issuers, "READ_AGAIN_SECONDS", 0.0)
    assert told(ocsp_answers.answer(request, now).der) == "good"


def test_a_new_ca_below_a_known_one_is_known_as_soon(certificate, now, monkeypatch):
    root = certificate.issuer.parent
    monkeypatch.setattr(known_issuers, "READ_AGAIN_SECONDS", 0.0)
    assert ask_about(root, 77, now) == "unknown"
    below = authorities.make_subordinate("Another CA", root, "P-256", TESTER, now)
    assert ask_about(root, below.certificate.serial_number, now) == "good"


# --- Signatures that are there already ------------------------------------------------------------


def queries_of(certificate, now) -> int:
    with CaptureQueriesContext(connection) as queries:
        ask(certificate, now)
    return len(queries)


def test_an_answer_is_signed_once_and_the_database_asked_each_time_once(certificate, now):
    first = ocsp_answers.answer(request_of(certificate), now)
    assert ocsp_answers.answer(request_of(certificate), now + SECOND) is first
    assert queries_of(certificate, now) == 1


def test_with_half_of_its_time_over_it_is_signed_anew(certificate, now, settings):
    settings.PORTAL_OCSP_SECONDS = 3600
    now = now.replace(microsecond=0)
    first = ocsp_answers.answer(request_of(certificate), now)
    assert (first.this_update, first.next_update) == (now, now + HOUR)
    assert ocsp_answers.answer(request_of(certificate), now + HOUR / 2) is first
    later = ocsp_answers.answer(request_of(certificate), now + HOUR / 2 + SECOND)
    assert later.this_update == now + HOUR / 2 + SECOND


def test_an_answer_from_the_future_is_not_given_when_the_clock_steps_back(certificate, now):
    ocsp_answers.answer(request_of(certificate), now)
    earlier = now - timedelta(seconds=30)
    assert ocsp_answers.answer(request_of(certificate), earlier).this_update <= earlier


def test_with_a_nonce_it_is_signed_each_time_and_never_kept(certificate, now):
    first = ask(certificate, now, nonce=NONCE)
    assert first.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == NONCE
    assert len(KEPT) == 0
    ask(certificate, now)
    again = ocsp_answers.answer(request_of(certificate, nonce=NONCE), now)
    assert not again.reusable
    assert list(wire.load_der_ocsp_response(again.der).extensions) == list(first.extensions)


def test_serials_that_somebody_makes_up_push_nothing_out(certificate, now):
    ask(certificate, now)
    for serial in range(10):
        assert ask_about(certificate.issuer, serial, now) == "unknown"
    assert len(KEPT) == 1


def made(der: bytes, now) -> Answer:
    return Answer(der, GOOD, now, now + HOUR, True)


def test_so_many_answers_are_kept_and_those_that_were_used_last(now):
    kept = Answers(most=3)
    for serial in range(3):
        kept.keep(("issuer", "sha1", serial), made(b"x", now))
    assert kept.find(("issuer", "sha1", 0), GOOD, now)
    kept.keep(("issuer", "sha1", 3), made(b"x", now))
    assert [bool(kept.find(("issuer", "sha1", serial), GOOD, now)) for serial in range(4)] == [
        True,
        False,
        True,
        True,
    ]
    assert (len(kept), kept.size) == (3, 3)


def test_so_many_bytes_are_kept(now):
    kept = Answers(most_bytes=1000)
    for serial in range(20):
        kept.keep(("issuer", "sha1", serial), made(b"x" * 300, now))
        kept.keep(("issuer", "sha1", serial), made(b"x" * 400, now))
        assert kept.size == 400 * len(kept) <= 1000
    assert len(kept) == 2


def test_an_answer_that_says_otherwise_is_not_found(now):
    kept = Answers()
    kept.keep(("issuer", "sha1", 1), made(b"x", now))
    for other in (Status(wire.OCSPCertStatus.UNKNOWN), ocsp.revoked(now, "superseded")):
        assert kept.find(("issuer", "sha1", 1), other, now) is None


def test_nobody_is_answered_beyond_the_responders_time(certificate, now, settings):
    settings.PORTAL_OCSP_SECONDS = 3600
    ask(certificate, now)
    responder = Responder.objects.get()
    late = responder.not_after - timedelta(minutes=10)
    answer = ocsp_answers.answer(request_of(certificate), late)
    assert answer.next_update == responder.not_after


def test_the_hash_of_the_request_is_the_hash_of_the_answer(certificate, now):
    for algorithm in (SHA1, SHA256, SHA1):
        assert isinstance(ask(certificate, now, algorithm).hash_algorithm, type(algorithm))
    assert isinstance(SHA1, hashes.SHA1)
    assert len(KEPT) == 2


def test_the_status_is_looked_up_by_indexes_alone(certificate, now):
    known = known_issuers.ISSUERS.find(ocsp.read(request_of(certificate)).certificate)
    with CaptureQueriesContext(connection) as queries:
        revocation_status.of_serial(known, certificate.parsed.serial_number)
    [query] = queries.captured_queries
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Tables of a few rows are read whole, unless that is made dear.
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            ("EXPLAIN " if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN ") + query["sql"]
        )
        plan = "\n".join(str(row) for row in cursor.fetchall())
    assert not re.search(r"Seq Scan|\bSCAN\b", plan), plan
