"""Files that nobody else may read, written whole or not at all, and locks beside them."""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

# What file systems without hard links say to link(2).
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
_MARK = 8  # random bytes in the name of a file that is being written
_TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{{2 * _MARK}}}")


# What a full disk, a used-up quota and a limit of the process say.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def remedy(error: OSError) -> str:
    """What to do about a file or folder that cannot be written."""
    return "make room on its disk" if error.errno in _NO_ROOM else "make it writable"


def make_private_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing, that only its owner enters (0700)."""
    if not path.parent.exists():
        make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)


def write_private(path: Path, data: bytes, *, replace: bool = True, mode: int = 0o600) -> None:
    """Write `data` to `path`, so that a crash leaves the old file or the new one.

    With `replace` false, FileExistsError if there is a file already, even one made this moment. `mode` is for
    what others may read.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(_MARK)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if mode != 0o600:
                with suppress(PermissionError):  # FAT has no modes: there it is as it is mounted
                    os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if replace:
            temporary.replace(path)
        else:
            _put_new(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _put_new(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    else:
        return
    # On FAT, as on a USB stick, the name is taken first: a crash between the two leaves an empty file.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink()
        raise


def temporaries(folder: Path) -> list[Path]:
    """What `write_private` left in a folder when it was killed, or is writing at this moment."""
    return [path for path in folder.iterdir() if _TEMPORARY.fullmatch(path.name)]


def sync_folder(path: Path) -> None:
    """Wait until what was renamed in a folder is on the disk: only then is it safe from a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether this is the only thread of all processes in here for the lock file `path`.

    With `wait` it is, in the end. The kernel drops the lock of a process that dies.
    """
    # Opened anew each time: the lock belongs to the open file, so that threads keep each other out as well.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
