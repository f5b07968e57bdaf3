"""A backup's archive: a gzipped tar of a manifest and the files that it names, each a plain file of its own.

It is read as a stream, and by names that are known: no path, link or device of a stranger's archive is ever
followed.
"""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import IO

from pki.keystore.files import make_private_folder
from pki.services.keeping import manifest
from pki.services.keeping.manifest import BackupRefused, SavedFile, SealedManifest

MANIFEST = "manifest.json"
KEYS = "keys/"
PASSPHRASE = "secrets/key-passphrase"  # noqa: S105  the name of a file
SECRET_KEY = "secrets/secret-key"  # noqa: S105
DOT_ENV = "settings/env"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}

_NAMES = re.compile(
    rf"{KEYS}[a-z0-9-]+\.pem|"
    + "|".join(map(re.escape, (PASSPHRASE, SECRET_KEY, DOT_ENV, *DATABASES.values())))
)
_LARGEST_MANIFEST = 64 * 2**20  # bytes
_CHUNK = 2**20
_UNREADABLE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError)


def describe(path: Path) -> SavedFile:
    """Raises OSError."""
    with path.open("rb") as file:
        return SavedFile(path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


def write(target: Path, sealed: bytes, folder: Path, files: Mapping[str, SavedFile], now: datetime) -> None:
    """Write manifest and files, as they lie in `folder` under their names, into a new file `target`."""
    (folder / MANIFEST).write_bytes(sealed)
    # Keys and databases compress badly, or are large: the quickest level has most of what there is to gain.
    with tarfile.open(target, "x:gz", compresslevel=1) as tar:
        for name in (MANIFEST, *files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = (folder / name).stat().st_size, 0o600, int(now.timestamp())
            with (folder / name).open("rb") as file:
                tar.addfile(entry, file)


def unpack(source: Path, folder: Path) -> SealedManifest:
    """Unpack an archive into an empty folder, and check every file against the manifest.

    Raises BackupRefused if anything is missing, too much, or other than the manifest says; OSError.
    """
    try:
        with gzip.open(source) as whole:
            with tarfile.open(fileobj=whole, mode="r|") as tar:
                found = manifest.read(_first(tar))
                _unpack_files(tar, folder, found.manifest.files)
            # To the end, where gzip's checksum is.
            while whole.read(_CHUNK):
                pass
    except _UNREADABLE as error:
        raise BackupRefused(f"{source} is no backup of Hatchery, or it is damaged or cut off.") from error
    return found


def _first(tar: tarfile.TarFile) -> bytes:
    entry = tar.next()
    file = tar.extractfile(entry) if entry is not None and entry.isreg() else None
    if entry is None or file is None or entry.name != MANIFEST or entry.size > _LARGEST_MANIFEST:
        raise BackupRefused("This is no backup of Hatchery: it does not begin with a manifest.")
    return file.read()


def _unpack_files(tar: tarfile.TarFile, folder: Path, files: Mapping[str, SavedFile]) -> None:
    missing = dict(files)
    while (entry := tar.next()) is not None:
        name = entry.name
        if name not in missing or _NAMES.fullmatch(name) is None or not entry.isreg():
            raise BackupRefused(f"The backup holds {name!r}, which does not belong into one: it was altered.")
        file = tar.extractfile(entry)
        if file is None or _copied(file, folder / name) != missing.pop(name):
            raise BackupRefused(f"The file {name} of the backup is not as it was saved: it was altered.")
    if missing:
        raise BackupRefused(f"The backup lacks the file {min(missing)}: it was altered or cut off.")


def _copied(source: IO[bytes], path: Path) -> SavedFile:
    make_private_folder(path.parent)
    digest, size = hashlib.sha256(), 0
    with path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return SavedFile(size, digest.hexdigest())
