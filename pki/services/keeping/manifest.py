"""What a backup says of itself: its files with their checksums, and what it takes to restore it.

It is sealed with the passphrase of the keys: whoever can alter a backup and does not have that cannot make
one that is restored.
"""

import json
import tomllib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from pki.core.errors import Refusal
from pki.keystore import sealing

FORMAT = 1


class BackupRefused(Refusal):
    """Not a backup that can be restored here."""

    code = "backup_refused"


@dataclass(frozen=True)
class SavedFile:
    """A file of the archive."""

    size: int  # bytes
    sha256: str  # hex


@dataclass(frozen=True)
class SavedIssuer:
    """An issuer, and by which key it is to sign."""

    name: str
    key_reference: str
    spki_sha256: str  # hex
    here: bool  # its key is in the backup; another node has it otherwise


@dataclass(frozen=True)
class Manifest:
    """All that is known of a backup."""

    version: str  # of Hatchery
    made_at: datetime  # just before the database was copied
    database: str  # sqlite or postgresql
    migrations: tuple[str, ...]  # that the database has had: pki.0001_spine, …
    issuers: tuple[SavedIssuer, ...]
    settings: dict[str, str]  # that are signed into certificates, and no secret
    files: dict[str, SavedFile]  # by their names in the archive

    def sealed(self, passphrase: str) -> bytes:
        """The manifest as it stands in the archive, JSON."""
        contents = asdict(self) | {"made_at": self.made_at.isoformat()}
        seal = sealing.seal(passphrase, _canonical(contents))
        envelope = {"hatchery backup": FORMAT, "contents": contents, "seal": seal}
        return json.dumps(envelope, indent=1).encode() + b"\n"


@dataclass(frozen=True)
class SealedManifest:
    """A manifest that was read, and is not proved yet."""

    manifest: Manifest
    _text: bytes
    _seal: str

    def opens_with(self, passphrase: str) -> bool:
        """Whether somebody who has this passphrase wrote it, as it is."""
        return sealing.is_sealed(passphrase, self._text, self._seal)


def read(data: bytes) -> SealedManifest:
    """Raises BackupRefused."""
    try:
        envelope = json.loads(data)
        if envelope["hatchery backup"] > FORMAT:
            raise BackupRefused("This backup was made by a newer version of Hatchery; restore it with that.")
        contents = envelope["contents"]
        return SealedManifest(_understood(contents), _canonical(contents), str(envelope["seal"]))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise BackupRefused(
            "This is no backup of Hatchery, or it is damaged: its manifest is none."
        ) from error


def _understood(contents: dict[str, Any]) -> Manifest:
    return Manifest(
        version=str(contents["version"]),
        made_at=datetime.fromisoformat(contents["made_at"]),
        database=str(contents["database"]),
        migrations=tuple(map(str, contents["migrations"])),
        issuers=tuple(
            SavedIssuer(
                str(each["name"]), str(each["key_reference"]), str(each["spki_sha256"]), bool(each["here"])
            )
            for each in contents["issuers"]
        ),
        settings={str(name): str(value) for name, value in contents["settings"].items()},
        files={
            str(name): SavedFile(int(each["size"]), str(each["sha256"]))
            for name, each in contents["files"].items()
        },
    )


def _canonical(contents: dict[str, Any]) -> bytes:
    return json.dumps(contents, sort_keys=True, separators=(",", ":")).encode()


def running_version() -> str:
    """The version of this Hatchery."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def signed_settings() -> dict[str, str]:
    """The settings that are signed into certificates, by which a restored installation must go on."""
    return {
        "PORTAL_HOSTNAMES": ",".join(settings.PORTAL_HOSTNAMES),
        "PORTAL_STATUS_URL": settings.PORTAL_STATUS_URL,
        "PORTAL_TRUST_DOMAIN": settings.PORTAL_TRUST_DOMAIN,
    }
