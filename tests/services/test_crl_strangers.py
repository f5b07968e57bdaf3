"""What programs that are not ours make of the lists that are published: OpenSSL and GnuTLS."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import bundles, crls
from pki.models import FULL, Issuer
from pki.services.issuing import authorities
from pki.services.publishing import publication, revocation_lists
from pki.services.revoking import revocation
from tests.clients import needs, run
from tests.services.cast import TESTER, issue, registered
from tests.services.lists import issuing, publish, revoke, root, stored

pytestmark = pytest.mark.usefixtures("ca")

REVOKED = b"error 23"  # X509_V_ERR_CERT_REVOKED
NO_LIST = b"error 3"  # X509_V_ERR_UNABLE_TO_GET_CRL
OTHER_SCOPE = b"error 44"  # X509_V_ERR_DIFFERENT_CRL_SCOPE


@pytest.fixture
def certificate(ca, now):
    return issue(registered("door-1", now), now)


def pem(issuer, shard=FULL, column="der"):
    return crls.load(bytes(getattr(stored(issuer, shard), column))).public_bytes(Encoding.PEM)


def openssl_verify(folder, certificate, lists, *options):
    """`openssl verify` of a device's certificate with these lists, of which none may be missing."""
    (folder / "root.pem").write_bytes(bundles.pem([root().certificate]))
    (folder / "issuing.pem").write_bytes(bundles.pem([issuing().certificate]))
    (folder / "lists.pem").write_bytes(b"".join(lists))
    (folder / "it.pem").write_bytes(bundles.pem([certificate.parsed]))
    return run(
        *("openssl", "verify", "-x509_strict", "-crl_check_all", *options, "-CAfile", "root.pem"),
        *("-untrusted", "issuing.pem", "-CRLfile", "lists.pem", "it.pem"),
        cwd=folder,
    )


SCOPES = {"full": (FULL, ()), "sharded": (1, ("-extended_crl",))}


@pytest.mark.parametrize(("shard", "options"), SCOPES.values(), ids=SCOPES)
def test_openssl_takes_the_good_and_refuses_the_revoked_and_the_held(
    certificate, shard, options, now, tmp_path
):
    def verify():
        publish(now)
        return openssl_verify(tmp_path, certificate, [pem(root()), pem(issuing(), shard)], *options)

    good = verify()
    assert (good.returncode, good.stdout) == (0, b"it.pem: OK\n"), good.stderr
    revoke(certificate, "certificateHold", now)
    held = verify()
    assert (held.returncode, REVOKED in held.stderr) == (2, True)
    revocation.lift([certificate], TESTER, now)
    assert verify().returncode == 0
    revoke(certificate, "keyCompromise", now)
    assert REVOKED in verify().stderr


def test_openssl_refuses_what_a_compromised_issuer_signed(certificate, now, tmp_path):
    publish(now)
    assert openssl_verify(tmp_path, certificate, [pem(root()), pem(issuing())]).returncode == 0
    authorities.change_state(issuing(), Issuer.State.COMPROMISED, TESTER, now)
    publish(now)
    done = openssl_verify(tmp_path, certificate, [pem(root()), pem(issuing())])
    assert REVOKED in done.stderr
    assert b"at 1 depth" in done.stderr


@pytest.mark.parametrize("options", [(), ("-extended_crl",)])
def test_the_list_of_another_shard_says_nothing_of_a_certificate(
    certificate, now, tmp_path, options, monkeypatch
):
    """Nor may somebody between hand out the empty list of another shard in place of the right one."""
    monkeypatch.setattr(revocation_lists, "SHARD_SIZE", 1)
    revocation_lists.roll(now)
    revoke(certificate, "keyCompromise", now)
    publish(now)
    done = openssl_verify(tmp_path, certificate, [pem(root()), pem(issuing(), 2)], *options)
    assert done.returncode == 2
    assert NO_LIST in done.stderr or OTHER_SCOPE in done.stderr, done.stderr


def with_delta(folder, certificate, lists):
    return openssl_verify(folder, certificate, lists, "-extended_crl", "-use_deltas")


def test_openssl_adds_a_delta_to_an_older_full_list(certificate, now, tmp_path):
    publish(now)
    old = pem(issuing())

    def verify(full):
        publish(now)
        return with_delta(
            tmp_path,
            certificate,
            [pem(root()), pem(root(), column="delta_der"), full, pem(issuing(), column="delta_der")],
        )

    assert verify(old).returncode == 0
    revoke(certificate, "certificateHold", now)
    assert REVOKED in verify(old).stderr
    held = pem(issuing())
    assert REVOKED in verify(held).stderr
    revocation.lift([certificate], TESTER, now)
    lifted = verify(old)
    assert (lifted.returncode, lifted.stdout) == (0, b"it.pem: OK\n"), lifted.stderr
    # removeFromCRL takes it off a complete list on which it was on hold.
    removed = verify(held)
    assert (removed.returncode, removed.stdout) == (0, b"it.pem: OK\n"), removed.stderr
    revoke(certificate, "keyCompromise", now)
    assert REVOKED in verify(held).stderr


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_gnutls_verifies_every_list(kind, now, tmp_path):
    certtool = needs("certtool", package="gnutls-bin")
    above = authorities.make_root("Another Root CA", kind, TESTER, now)
    below = authorities.make_subordinate("Another Issuing CA", above, kind, TESTER, now)
    authorities.change_state(below, Issuer.State.COMPROMISED, TESTER, now)
    publish(now)
    publication.publish_now([stored(above)], TESTER, now)
    (tmp_path / "ca.pem").write_bytes(bundles.pem([above.certificate]))
    for shard, column in ((FULL, "der"), (1, "der"), (FULL, "delta_der")):
        (tmp_path / "it.pem").write_bytes(pem(above, shard, column))
        done = run(
            certtool,
            *("--verify-crl", "--load-ca-certificate", "ca.pem", "--infile", "it.pem"),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done
        assert b"Verification output: Verified." in done.stdout, done
        assert run(certtool, "--crl-info", "--infile", "it.pem", cwd=tmp_path).returncode == 0
