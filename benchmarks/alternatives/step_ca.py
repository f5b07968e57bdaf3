"""step-ca, of the library that Debian has (0.19), with badger behind it or with nothing."""

import base64
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from benchmarks.alternatives import authority, fresh, programs
from benchmarks.compare.served import Job, Missing, Served
from tests.server import free_ports

_PROGRAM = Path(__file__).with_name("step_ca_program") / "main.go"
_PACKAGE = "golang-github-smallstep-certificates-dev"
_LIBRARIES = Path("/usr/share/gocode")
_FROM_DEBIAN = {"GO111MODULE": "off", "GOPATH": str(_LIBRARIES)}
_PROVISIONER, _KEY_ID = "bench", "bench-key"
_COORDINATE = 32  # octets, of a point on P-256 and of each half of its signatures
_TOKEN_LIFETIME = 3600  # seconds


def with_database(folder: Path) -> AbstractContextManager[Served]:
    """Certificates and used tokens are stored in badger, its default. Raises Missing."""
    return _serve(folder, "step-ca, badger", stores=True)


def without_database(folder: Path) -> AbstractContextManager[Served]:
    """Used tokens are kept in memory, certificates nowhere. Raises Missing."""
    return _serve(folder, "step-ca", stores=False)


@contextmanager
def _serve(folder: Path, name: str, *, stores: bool) -> Iterator[Served]:
    if not (_LIBRARIES / "src/github.com/smallstep/certificates/ca").is_dir():
        raise Missing(f"step-ca's library is not installed; on Debian: apt-get install {_PACKAGE}")
    step_ca = programs.built(_PROGRAM, folder / "step-ca", _FROM_DEBIAN)
    files, key, (port,) = authority.make(folder), ec.generate_private_key(ec.SECP256R1()), free_ports(1)
    configuration = _configuration(folder, files, key, port, stores=stores)
    with programs.running([step_ca, configuration], folder, [port], programs.GO) as processes:
        yield Served(
            name,
            processes,
            {
                "sign-csr": lambda number: Job(
                    f"https://localhost:{port}/1.0/sign",
                    files.certificate("root"),
                    method="POST",
                    headers={"Content-Type": "application/json"},
                    requests=fresh.requests(number, lambda device, csr: _request(key, port, device, csr)),
                    expect=201,
                )
            },
            stores=stores,
        )


def _configuration(
    folder: Path, files: authority.Files, key: ec.EllipticCurvePrivateKey, port: int, *, stores: bool
) -> Path:
    """What `step ca init` writes, but with certificates for 90 days, and without a log."""
    lifetimes = {"maxTLSCertDuration": "2160h", "defaultTLSCertDuration": "2160h"}
    provisioner = {"type": "JWK", "name": _PROVISIONER, "key": _public(key), "claims": lifetimes}
    configuration = {
        "root": str(files.certificate("root")),
        "crt": str(files.certificate("issuer")),
        "key": str(files.key("issuer")),
        "address": f"127.0.0.1:{port}",
        "dnsNames": ["localhost", "127.0.0.1"],
        "authority": {"provisioners": [provisioner]},
        **({"db": {"type": "badgerv2", "dataSource": str(folder / "badger")}} if stores else {}),
    }
    path = folder / "ca.json"
    path.write_text(json.dumps(configuration))
    return path


def _public(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """A public key as a JWK (RFC 7517)."""
    point = key.public_key().public_numbers()
    x, y = (_base64url(value.to_bytes(_COORDINATE)) for value in (point.x, point.y))
    return {"use": "sig", "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": _KEY_ID, "x": x, "y": y}


def _request(key: ec.EllipticCurvePrivateKey, port: int, device: str, csr: bytes) -> bytes:
    return json.dumps({"csr": csr.decode(), "ott": _token(key, port, device)}).encode()


def _token(key: ec.EllipticCurvePrivateKey, port: int, device: str) -> str:
    """What lets a device have one certificate: a JWT (RFC 7519), signed by the provisioner."""
    now = int(time.time())
    claims = {
        "iss": _PROVISIONER,
        "sub": device,
        "sans": [device],
        "aud": f"https://localhost:{port}/1.0/sign",
        "iat": now,
        "nbf": now,
        "exp": now + _TOKEN_LIFETIME,
        "jti": secrets.token_hex(32),
    }
    header = {"alg": "ES256", "kid": _KEY_ID, "typ": "JWT"}
    signed = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
    halves = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_base64url(b''.join(half.to_bytes(_COORDINATE) for half in halves))}"


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
