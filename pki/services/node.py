"""What one process of a node does at a time, because it makes keys that the node keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pki.keystore.files import locked, make_private_folder


@contextmanager
def alone(data_dir: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether this is the only process that makes something in a data directory.

    With `wait` it is, in the end; without, False says that somebody else is at it. Raises OSError.
    """
    make_private_folder(data_dir)
    with locked(data_dir / "bootstrap.lock", wait=wait) as free:
        yield free
