"""Who uses a key folder, and who changes its passphrase: a lock (flock) on the folder itself.

All who use keys share it for as long as they live. The kernel drops it with the last process that has it; a
forked worker has its master's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

from pki.keystore.base import KeystoreError


def share(folder: Path) -> int:
    """Keep the passphrase of a folder from being changed; the descriptor that does so until it is closed.

    Never waits: raises KeystoreError while it is being changed.
    """
    try:
        return _lock(folder, LOCK_SH)
    except BlockingIOError:
        raise KeystoreError(
            f"The passphrase of {folder} is being changed at this moment; wait until change_passphrase has "
            "ended, and start this anew with the new one."
        ) from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep everybody else from using the keys of a folder. Raises KeystoreError if somebody does."""
    try:
        descriptor = _lock(folder, LOCK_EX)
    except BlockingIOError:
        raise KeystoreError(
            f"The keys in {folder} are in use. Stop Hatchery on this machine (systemctl stop hatchery, or "
            "Ctrl-C where it runs), let other commands end, and run this again; nothing was changed."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, how: int) -> int:
    # Opened anew each time: the lock belongs to the open file.
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flock(descriptor, how | LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError:
        raise
    except OSError as error:
        raise KeystoreError(
            f"The key folder {folder} cannot be locked ({error.strerror}); it must be there, readable, "
            "and on a file system that has locks."
        ) from error
    return descriptor
