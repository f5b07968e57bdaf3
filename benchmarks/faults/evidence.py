"""What the database has in the end, against what the devices hold."""

import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field

from benchmarks.faults.load import PREFIX, Told
from tests import postgres
from tests.server import Server

_CERTIFICATES = """
    SELECT c.common_name, t.digest, c.fingerprint,
        (SELECT count(*) FROM pki_auditevent e
            WHERE e.kind = 'certificate.issued' AND e.certificate_id = c.id)
    FROM pki_certificate c
    LEFT JOIN pki_enrollmentrequest r ON r.certificate_id = c.id
    LEFT JOIN pki_enrollmenttoken t ON t.id = r.token_id
    WHERE c.common_name LIKE '{prefix}-%'
"""
_USED = """
    SELECT t.digest, t.uses, count(r.certificate_id)
    FROM pki_enrollmenttoken t LEFT JOIN pki_enrollmentrequest r ON r.token_id = t.id
    WHERE t.name_pattern = '{prefix}-*' AND t.uses > 0 GROUP BY t.id, t.digest, t.uses
"""
_DEVICES = """
    SELECT d.name, count(c.id) FROM pki_device d LEFT JOIN pki_certificate c ON c.device_id = d.id
    WHERE d.name LIKE '{prefix}-%' GROUP BY d.id, d.name
"""


@dataclass
class Evidence:
    """The counts, and each thing that is not as it must be, in a sentence."""

    certificates: int = 0
    audited: int = 0
    tokens_used: int = 0
    proof: str = ""
    faults: list[str] = field(default_factory=list)


def gather(server: Server, told: Told) -> Evidence:
    """Compare all of it, and have the audit trail proven; nobody may be enrolling."""
    found = compare(server, told)
    _audit(found, server)
    return found


def compare(server: Server, told: Told) -> Evidence:
    """What the tables have, against what the devices hold."""
    found = Evidence()
    _certificates(found, server, told)
    _tokens(found, server)
    for name, certificates in _asked(server, _DEVICES):
        if certificates != 1:
            found.faults.append(f"The device {name} has {certificates} certificates.")
    return found


def _certificates(found: Evidence, server: Server, told: Told) -> None:
    rows = _asked(server, _CERTIFICATES)
    found.certificates = len(rows)
    found.audited = sum(events == 1 for *_, events in rows)
    found.faults += [f"{name} has {events} audit events." for name, *_, events in rows if events != 1]
    stored = Counter((name, token, fingerprint) for name, token, fingerprint, _ in rows)
    held = Counter((each.name, each.token, each.fingerprint) for each in told.held)
    found.faults += [f"What {name} holds is not in the database." for name, *_ in (held - stored).elements()]
    # Whoever failed for good is told of as such.
    found.faults += [f"Nobody holds {name}'s certificate." for name, *_ in (stored - held).elements()]


def _tokens(found: Evidence, server: Server) -> None:
    for digest, uses, certificates in _asked(server, _USED):
        found.tokens_used += 1
        if (uses, certificates) != (1, 1):
            found.faults.append(f"The token {digest[:8]} has {uses} uses and {certificates} certificates.")


def _audit(found: Evidence, server: Server) -> None:
    sealed = server.manage("audit", "seal")
    proven = server.manage("audit", "verify")
    if sealed.returncode or proven.returncode:
        found.faults.append(f"The audit trail: {sealed.stderr.decode()}{proven.stdout.decode()}")
    found.proof = proven.stdout.decode().strip().rpartition("\n")[2]


def _asked(server: Server, words: str) -> list[tuple]:
    words = words.format(prefix=PREFIX)
    url = server.environment.get("DATABASE_URL")
    with closing(postgres.connect(url) if url else sqlite3.connect(server.data / "db.sqlite3")) as database:
        return database.execute(words).fetchall()
