"""The CA that all alternatives are given: keys and certificates of the kinds that Hatchery's own are."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from pki.core import bundles, certificates, keys, names
from pki.core.certificates import Authority, Pointers
from pki.core.names import San, SanKind
from pki.core.profiles import ExtendedKeyUsage, Grant, Rules

_YEAR = timedelta(days=365)
_POINTERS = Pointers("http://localhost/ca.crt", "http://localhost/ocsp", "http://localhost/ca.crl")
_AT_HOME = (San(SanKind.DNS, "localhost"), San(SanKind.IP, "127.0.0.1"))


@dataclass(frozen=True)
class Files:
    """Where the PEM files are. A certificate comes with its issuer's; a key is PKCS#8 and not encrypted."""

    folder: Path

    def certificate(self, name: str) -> Path:
        """Of `root`, `issuer`, `server` or `client`."""
        return self.folder / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.folder / f"{name}.key"


def make(folder: Path) -> Files:
    """A root, an issuing CA, a server `localhost` (also 127.0.0.1), a client `bench-client`: P-256 each."""
    files, now = Files(folder), datetime.now(UTC)
    root_key, issuer_key = keys.generate("P-256"), keys.generate("P-256")
    unsigned = certificates.root(_name("Benchmark root"), root_key.public_key(), 9 * _YEAR, now)
    root = unsigned.sign(root_key, keys.signature_hash(root_key))
    unsigned = certificates.subordinate(
        _name("Benchmark CA"), issuer_key.public_key(), 5 * _YEAR, Authority(root, _POINTERS), now
    )
    issuer = unsigned.sign(root_key, keys.signature_hash(root_key))
    _write(files, "root", [root], root_key)
    _write(files, "issuer", [issuer], issuer_key)
    for name, grant, usage in (
        ("server", Grant(_name("localhost"), _AT_HOME, ()), ExtendedKeyUsage.SERVER_AUTH),
        ("client", Grant(_name("bench-client"), (), ()), ExtendedKeyUsage.CLIENT_AUTH),
    ):
        key = keys.generate("P-256")
        rules = Rules(frozenset(keys.KeyKind), timedelta(days=90), (usage,))
        unsigned = certificates.end_entity(rules, grant, key.public_key(), Authority(issuer, _POINTERS), now)
        _write(files, name, [unsigned.sign(issuer_key, keys.signature_hash(issuer_key)), issuer], key)
    return files


def _name(common_name: str) -> x509.Name:
    return names.subject({"CN": common_name})


def _write(files: Files, name: str, chain: list[x509.Certificate], key: keys.IssuerKey) -> None:
    files.certificate(name).write_bytes(bundles.pem(chain))
    files.key(name).write_bytes(bundles.private_key_pem(key))
