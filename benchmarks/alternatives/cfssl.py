"""CFSSL's `serve`, as Debian has it (1.2): its endpoint `authsign`, with SQLite behind it or with nothing."""

import base64
import hashlib
import hmac
import json
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from benchmarks.alternatives import authority, fresh, programs
from benchmarks.compare.served import Job, Served
from tests.server import free_ports

# Its certdb/sqlite/migrations, which Debian's package leaves out.
_TABLES = """
CREATE TABLE certificates (
    serial_number blob NOT NULL,
    authority_key_identifier blob NOT NULL,
    ca_label blob,
    status blob NOT NULL,
    reason int,
    expiry timestamp,
    revoked_at timestamp,
    pem blob NOT NULL,
    PRIMARY KEY (serial_number, authority_key_identifier)
);
CREATE TABLE ocsp_responses (
    serial_number blob NOT NULL,
    authority_key_identifier blob NOT NULL,
    body blob NOT NULL,
    expiry timestamp,
    PRIMARY KEY (serial_number, authority_key_identifier),
    FOREIGN KEY (serial_number, authority_key_identifier)
        REFERENCES certificates (serial_number, authority_key_identifier)
);
"""


def with_database(folder: Path) -> AbstractContextManager[Served]:
    """Each certificate is stored in SQLite before it is answered. Raises Missing."""
    return _serve(folder, "cfssl, SQLite", stores=True)


def without_database(folder: Path) -> AbstractContextManager[Served]:
    """Nothing is stored. Raises Missing."""
    return _serve(folder, "cfssl", stores=False)


@contextmanager
def _serve(folder: Path, name: str, *, stores: bool) -> Iterator[Served]:
    cfssl = programs.program("cfssl", package="golang-cfssl")
    files, key, (port,) = authority.make(folder), secrets.token_bytes(16), free_ports(1)
    options: dict[str, str | Path] = {
        "address": "127.0.0.1",
        "port": str(port),
        "loglevel": "2",
        "ca": files.certificate("issuer"),
        "ca-key": files.key("issuer"),
        "tls-cert": files.certificate("server"),
        "tls-key": files.key("server"),
        "config": _configuration(folder, key),
        **({"db-config": _database(folder)} if stores else {}),
    }
    command = [cfssl, "serve", *(word for name, value in options.items() for word in (f"-{name}", value))]
    with programs.running(command, folder, [port], programs.GO) as processes:
        yield Served(
            name,
            processes,
            {
                "sign-csr": lambda number: Job(
                    f"https://localhost:{port}/api/v1/cfssl/authsign",
                    files.certificate("root"),
                    method="POST",
                    headers={"Content-Type": "application/json"},
                    requests=fresh.requests(number, lambda device, csr: _request(key, device, csr)),
                )
            },
            stores=stores,
        )


def _configuration(folder: Path, key: bytes) -> Path:
    path = folder / "cfssl.json"
    profile = {"usages": ["digital signature", "client auth"], "expiry": "2160h", "auth_key": "bench"}
    urls = {
        "issuer_urls": ["http://localhost/ca.crt"],
        "ocsp_url": "http://localhost/ocsp",
        "crl_url": "http://localhost/ca.crl",
    }
    auth_keys = {"bench": {"type": "standard", "key": key.hex()}}
    path.write_text(json.dumps({"signing": {"default": {**profile, **urls}}, "auth_keys": auth_keys}))
    return path


def _database(folder: Path) -> Path:
    database, path = folder / "certificates.sqlite3", folder / "db.json"
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(_TABLES)
    # As Hatchery has it: each commit is on disk. What the driver was compiled with may be less.
    source = f"file:{database}?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000"
    path.write_text(json.dumps({"driver": "sqlite3", "data_source": source}))
    return path


def _request(key: bytes, device: str, csr: bytes) -> bytes:
    """A request for a signature with its HMAC-SHA256, CFSSL's `standard` authentication."""
    wish = json.dumps({"certificate_request": csr.decode(), "subject": {"CN": device}}).encode()
    token = hmac.digest(key, wish, hashlib.sha256)
    words = {"token": base64.b64encode(token).decode(), "request": base64.b64encode(wish).decode()}
    return json.dumps(words).encode()
