"""The text of a trust bundle: what devices are to trust, as a PEM file that says in its comments what it is.

    # Hatchery trust bundle
    # version: 29881920
    # made-at: 2026-10-25T08:00:00Z
    #
    # pin root current sha256//… Hatchery Root CA A1B2C3
    # pin root backup sha256//…
    # pin listener-secure current sha256//…
    #
    # root: Hatchery Root CA A1B2C3
    # fingerprint: <SHA-256 of the DER, hex>
    # state: active
    -----BEGIN CERTIFICATE-----

Every line that is no PEM begins with `#`, so that the whole is a file of trusted roots for all who read PEM.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from pki.core import bundles, pins

_TITLE = "# Hatchery trust bundle"
_VERSION = "# version: "
_MADE_AT = "# made-at: "


@dataclass(frozen=True)
class Pin:
    """A key that is in use for a role (root, issuer, listener-secure …), or will be next (`is_backup`)."""

    role: str
    is_backup: bool
    spki_sha256: str  # hex
    name: str = ""


@dataclass(frozen=True)
class Root:
    """A root that is to be trusted."""

    name: str
    state: str
    certificate: x509.Certificate


def body(pinned: Iterable[Pin], roots: Iterable[Root]) -> str:
    """What a bundle says, without its version and date: whether this has changed makes a new version."""
    lines = ["#"]
    for pin in pinned:
        when = "backup" if pin.is_backup else "current"
        digest = pins.as_base64(pin.spki_sha256)
        lines.append(f"# pin {pin.role} {when} sha256//{digest} {_one_line(pin.name)}".rstrip())
    for root in roots:
        lines += [
            "#",
            f"# root: {_one_line(root.name)}",
            f"# fingerprint: {pins.fingerprint_of(root.certificate)}",
            f"# state: {root.state}",
            bundles.pem([root.certificate]).decode().rstrip("\n"),
        ]
    return "\n".join(lines) + "\n"


def text(version: int, made_at: datetime, said: str) -> str:
    """A whole bundle around a `body`; `made_at` is UTC."""
    return f"{_TITLE}\n{_VERSION}{version}\n{_MADE_AT}{made_at:%Y-%m-%dT%H:%M:%SZ}\n{said}"


def body_of(contents: str) -> str:
    """The body of a bundle that `text` wrote."""
    return contents.split("\n", 3)[3]


def version_at(now: datetime, last: int, restored: int = 0) -> int:
    """The version of a bundle that is made now, after `last` (0: none).

    The minute in which it is made, or one more than the last: it grows also when the database was put back to
    an earlier day, and so devices, which refuse a lower one than theirs, take it. `restored` is when that was
    done last, by the clock of then, in seconds since 1970 (0: never).
    """
    return max(last + 1, int(now.timestamp()) // 60, restored // 60 + 1)


def is_from_before(version: int, restored: int) -> bool:
    """Whether devices may have a later version than this one, which the database forgot when it was restored.

    Once a version was made after that, none is, whatever the clock said then.
    """
    return version <= restored // 60


def _one_line(name: str) -> str:
    # A line break in a name would let it write lines of its own.
    return "".join(character if character.isprintable() else "?" for character in name)
