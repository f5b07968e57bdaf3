"""The bytes of the CRLs that are served, kept in memory: who reads slowly shares them with all others."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import crls
from pki.models import RevocationList

MOST_KEPT = 64 * 1024 * 1024  # bytes in each process


class Replaced(Exception):
    """The list was made anew since it was looked up: look again."""


class Shelf:
    """Bytes by their names, the last used of them; a name never means other bytes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()
        # By name, for as long as somebody makes or awaits it: who reads one slowly holds up nobody else.
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What is kept under a name, or what `make` makes now: once, whoever asks at the same time."""
        kept = self._find(name)
        if kept is not None:
            return kept
        with self._turn(name):
            kept = self._find(name)
            if kept is None:
                kept = make()
                self._keep(name, kept)
            return kept

    def _find(self, name: str) -> bytes | None:
        with self._lock:
            kept = self._kept.get(name)
            if kept is not None:
                self._kept.move_to_end(name)
            return kept

    def _turn(self, name: str) -> threading.Lock:
        with self._lock:
            return self._turns.setdefault(name, threading.Lock())

    def _keep(self, name: str, value: bytes) -> None:
        if len(value) > self._most:
            return
        with self._lock:
            self._kept[name] = value
            self._size += len(value)
            while self._size > self._most:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest)


_shelf = Shelf(MOST_KEPT)


def der(found: RevocationList) -> bytes:
    """A list, DER. Raises Replaced, as those below."""
    return _shelf.get(f"{found.fingerprint} der", lambda: _stored(found, "der"))


def pem(found: RevocationList) -> bytes:
    """The same in PEM (RFC 7468 6)."""
    return _shelf.get(
        f"{found.fingerprint} pem", lambda: crls.load(_stored(found, "der")).public_bytes(Encoding.PEM)
    )


def joined_pem(lists: Sequence[RevocationList], tag: str) -> bytes:
    """Lists in one PEM file; `tag` is of these lists in this order, as they are now, and no others."""
    return _shelf.get(f"{tag} joined", lambda: b"".join(pem(each) for each in lists))


def delta(found: RevocationList) -> bytes:
    """The delta of a full list, DER."""
    return _shelf.get(f"{found.fingerprint} delta", lambda: _stored(found, "delta_der"))


def _stored(found: RevocationList, column: str) -> bytes:
    rows: Any = RevocationList.objects.filter(pk=found.pk, fingerprint=found.fingerprint)
    stored = rows.values_list(column, flat=True).first()
    if stored is None:
        raise Replaced
    return bytes(stored)
