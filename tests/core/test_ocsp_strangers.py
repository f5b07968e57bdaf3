"""What the linter pkilint says of our OCSP answers, and of responders' certificates."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import certificates, keys, ocsp
from tests.core import linting
from tests.core.cast import DAY, MOMENT, ca, issued, private_key, record, sign
from tests.core.ocsp_cast import NONCE, SHA1, SHA256, asked
from tests.core.test_strangers import ISSUER_KINDS, pkilint

STATUSES = {
    "good, with a nonce": (ocsp.GOOD, SHA1, NONCE),
    "revoked": (ocsp.revoked(MOMENT - DAY, "keyCompromise"), SHA256, None),
    "revoked, nobody said why": (ocsp.revoked(MOMENT - DAY, "unspecified"), SHA1, None),
    "unknown": (ocsp.UNKNOWN, SHA256, NONCE),
}


def responder(kind):
    of = ca(kind)
    key = private_key(kind).public_key()
    return sign(certificates.ocsp_responder(key, 7 * DAY, of.issuing, MOMENT), of.issuing_key)


@pytest.mark.parametrize("kind", ISSUER_KINDS)
def test_pkilint_finds_nothing_in_a_responders_certificate(kind, tmp_path):
    assert pkilint(tmp_path, responder(kind)) == []


@pytest.mark.parametrize("kind", ISSUER_KINDS)
@pytest.mark.parametrize(("status", "algorithm", "nonce"), STATUSES.values(), ids=STATUSES)
def test_pkilint_finds_nothing_in_an_answer(kind, status, algorithm, nonce, tmp_path):
    of, key = ca(kind), private_key(kind)
    request = ocsp.read(asked(issued(of, record("door-1")), of.issuing, algorithm, nonce))
    built = ocsp.answer(request, status, responder(kind), MOMENT, MOMENT + timedelta(hours=1))
    der = built.sign(key, keys.signature_hash(key)).public_bytes(Encoding.DER)
    assert linting.in_ocsp_answer(tmp_path, der) == []
