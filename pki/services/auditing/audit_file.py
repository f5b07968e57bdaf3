"""The audit trail as lines of a file, for programs that watch: each node writes all of it into its own.

Lines are added once events are sealed, in the chain's order, and are on the disk before the mark in the data
directory moves. Killed in between, or on a full disk, the same lines are written again: none is left out, and
one that is there twice is known by its position.
"""

import dataclasses
import errno
import json
import os
import stat
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from pki.core import audit_proof
from pki.core.errors import Refusal
from pki.keystore.files import locked, make_private_folder, sync_folder, write_private
from pki.services.auditing import sending
from pki.services.auditing.sending import Mark


class AuditFileFailed(Refusal):
    """The file of the settings cannot be written, for as long as that lasts."""

    code = "audit_file_failed"


def write_due(now: datetime) -> int:
    """Add the lines that are not in the file of this node yet; how many. Raises AuditFileFailed."""
    path: Path | None = settings.PORTAL_AUDIT_FILE
    if path is None:
        return 0
    make_private_folder(settings.PORTAL_DATA_DIR)
    with locked(_beside("lock"), wait=False) as free:
        if not free:
            return 0

        def deliver(piece: list[dict[str, Any]]) -> None:
            _add(path, b"".join(audit_proof.canonical(record) + b"\n" for record in piece))

        def keep(mark: Mark) -> None:
            _keep(path, mark)

        return sending.send(_mark(path), deliver, keep)


def _beside(suffix: str) -> Path:
    folder: Path = settings.PORTAL_DATA_DIR
    return folder / f"audit-file.{suffix}"


def _mark(path: Path) -> Mark:
    """Up to where that file has the trail: another one that the settings name now has nothing yet."""
    try:
        kept = json.loads(_beside("mark").read_bytes())
        return Mark(**kept["mark"]) if kept["file"] == str(path) else Mark()
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        # All is written again, rather than nothing.
        return Mark()


def _keep(path: Path, mark: Mark) -> None:
    kept = {"file": str(path), "mark": dataclasses.asdict(mark)}
    write_private(_beside("mark"), json.dumps(kept).encode())


def _add(path: Path, lines: bytes) -> None:
    # Opened each time: it may have been rotated away. Without O_NONBLOCK a pipe would be waited for.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size == 0:
                # Made just now, by us or by who rotates, or by a process that was killed then.
                _sync_name(path)
            _write_through(descriptor, lines)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise AuditFileFailed(
            f"PORTAL_AUDIT_FILE {path} cannot be written ({error.strerror}). Nothing is lost: what is "
            "missing there is written when it can be."
        ) from error


def _sync_name(path: Path) -> None:
    """Wait until a new file's name is on the disk: without it, its lines are lost in a power cut."""
    try:
        sync_folder(path.parent)
    except OSError as error:
        # What Linux says of a file system that does not know this, and of a folder that we may enter and not
        # read: who made the file there for us answers for its name.
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.EPERM):
            raise OSError(error.errno, f"its folder, {path.parent}: {error.strerror}") from error


def _write_through(descriptor: int, lines: bytes) -> None:
    """Add lines and wait until they are on the disk: all of them or, if it can be helped, none."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(None, "it is no file")
    torn = status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n"
    rest = memoryview(b"\n" + lines if torn else lines)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        try:
            os.ftruncate(descriptor, status.st_size)
        except OSError:
            pass  # chattr +a: the torn line is ended before the next one
        raise
