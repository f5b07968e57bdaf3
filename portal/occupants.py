"""Who has a port that is taken, as far as Linux tells this user."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_LISTENS = "0A"  # the state TCP_LISTEN, as /proc/net/tcp writes it
_OURS = ("manage.py\0serve", "portal.wsgi")  # in the command line of a Hatchery that serves


def who_listens(port: int) -> str:
    """In words: which process, or only that it is another program."""
    holders = set(_holders({f"socket:[{inode}]" for inode in _sockets(port)}))
    # Workers have their master's sockets.
    first = [pid for pid in sorted(holders) if _parent(pid) not in holders]
    if not first:
        return "another program"
    ours = any(words in _read(first[0], "cmdline") for words in _OURS)
    what = "another Hatchery" if ours else f"the program {_read(first[0], 'comm').strip()}"
    return f"{what} (process {first[0]})"


def _sockets(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        for line in _read("net", table).splitlines()[1:]:
            _, local, _, state, *fields = line.split()
            if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                yield fields[5]  # its inode


def _holders(sockets: set[str]) -> Iterator[int]:
    for process in _PROC.iterdir():
        # Another user's, or one that has ended meanwhile.
        with suppress(OSError):
            if process.name.isdecimal() and any(
                str(descriptor.readlink()) in sockets for descriptor in (process / "fd").iterdir()
            ):
                yield int(process.name)


def _parent(pid: int) -> int:
    # The name, in parentheses, may hold anything.
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _read(*names: object) -> str:
    with suppress(OSError):
        return _PROC.joinpath(*map(str, names)).read_text(errors="replace")
    return ""
