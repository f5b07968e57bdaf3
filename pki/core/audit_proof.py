"""Audit events as a chain of hashes with signed checkpoints, and the check of an export by this file alone.

Hatchery makes its chain with the functions here. Whoever is given an export (`manage.py audit export`)
copies this one file, which needs Python 3.9 or later and the package `cryptography`, and runs it:

    python audit_proof.py export.jsonl --public-key audit.pem --noted checkpoint.jsonl

It exits with 0 if nothing is wrong, with 1 if anything is, and with 2 if it cannot be asked so.

An event's hash is SHA-256 over the 32 bytes of the hash before it and the event's canonical JSON: keys
sorted, no spaces, ASCII. A checkpoint's statement is a line that says what it is and one of canonical JSON;
it is signed by ECDSA on P-256 with SHA-256. So is that of the end, which covers every line before it: what
is cut off there, changed or put in is noticed. What happened after the end was signed, no export can tell.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

FORMAT = "hatchery audit export 1"
CHECKPOINT = "hatchery audit checkpoint 1"
SIGNER = "hatchery audit signer 1"
END = "hatchery audit export end 1"
STATEMENTS = (CHECKPOINT, SIGNER, END)
_CHAIN = "hatchery audit chain 1"
# An event is sealed within minutes; after so long, something else was at work.
LATE = timedelta(hours=1)
_MOST_SAID = 20
_SOUND = "nothing was changed, removed, added or moved."
_LONGEST_LINE = 16 * 2**20  # bytes
_FIELDS = {
    "export": {"type", "format", "chain", "at"},
    "signer": {"type", "fingerprint", "public_key", "endorsed_by", "statement", "signature"},
    "event": {"type", "position", "hash", "event"},
    "checkpoint": {"type", "statement", "signature", "signer"},
    "unsealed": {"type", "event"},
    "end": {"type", "statement", "signature", "signer"},
}
# An export has its lines in this order.
_ORDER = {"export": 0, "signer": 1, "event": 2, "checkpoint": 2, "unsealed": 3, "end": 4}


class NotProven(Exception):
    """Something is not as it was signed; the message says what."""


def canonical(value: Any) -> bytes:
    """JSON that is written in one way only: keys sorted, no spaces, ASCII. Raises ValueError for NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def genesis(chain: str) -> bytes:
    """The hash before the first event of a chain, 32 bytes."""
    return hashlib.sha256(f"{_CHAIN}\n{chain}".encode()).digest()


def event_hash(before: bytes, event: Mapping[str, Any]) -> bytes:
    """The hash of an event and, by the hash before it, of all that came before; 32 bytes."""
    return hashlib.sha256(before + canonical(event)).digest()


def statement(what: str, **said: Any) -> str:
    """What is signed: `what` it is, CHECKPOINT, SIGNER or END, and what it says."""
    return f"{what}\n{canonical(said).decode()}\n"


def said(what: str, text: str) -> dict[str, Any]:
    """What a statement says. Raises NotProven if it is none of that kind, or written in another way."""
    first, _, rest = text.partition("\n")
    try:
        values = json.loads(rest)
        if first == what and isinstance(values, dict) and statement(what, **values) == text:
            return values
    except (ValueError, TypeError, RecursionError):
        pass
    raise NotProven(f"This is no statement of the kind '{what}'.")


def digest(text: str) -> str:
    """SHA-256 of a statement, lower-case hex: what the next one names it by."""
    return hashlib.sha256(text.encode()).hexdigest()


class Tally:
    """All lines of an export before its end, in a few numbers, which Hatchery signs."""

    def __init__(self) -> None:
        self._lines = self._events = self._unsealed = 0
        self._head, self._others = "", b""

    def add(self, record: Mapping[str, Any]) -> None:
        """The next line's record. Raises KeyError, TypeError or ValueError if Hatchery writes none such."""
        self._lines += 1
        if record["type"] == "event":
            # Its hash is over all events before it too.
            self._events, self._head = record["position"], record["hash"]
            return
        self._others = event_hash(self._others, record)
        self._unsealed += record["type"] == "unsealed"

    def said(self) -> dict[str, Any]:
        """What the statement of the end says of the lines."""
        return {
            "events": self._events,
            "head": self._head,
            "lines": self._lines,
            "others": self._others.hex(),
            "unsealed": self._unsealed,
        }


class Keys:
    """The public keys whose signatures count: those that were given, and those that one of them endorsed."""

    def __init__(self) -> None:
        self._known: dict[str, ec.EllipticCurvePublicKey] = {}

    def give(self, pem: bytes) -> None:
        """Believe each public key of a PEM file. Raises ValueError for none, or one of another kind."""
        end = b"-----END PUBLIC KEY-----"
        for part in pem.split(end)[:-1]:
            self._add(load_pem_public_key, part[part.index(b"-----BEGIN") :] + end + b"\n")
        if not self._known:
            raise ValueError("There is no public key in it.")

    def take(self, record: Mapping[str, Any]) -> None:
        """Believe the key of an export, if one that is believed has signed that it may follow."""
        if record["endorsed_by"] == "" or record["endorsed_by"] not in self._known:
            return
        self.verify(record["endorsed_by"], record["statement"], record["signature"])
        der = base64.b64decode(record["public_key"])
        if said(SIGNER, record["statement"])["fingerprint"] != hashlib.sha256(der).hexdigest():
            raise NotProven("The endorsement is of another key than the one that stands there.")
        self._add(load_der_public_key, der)

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._known

    def verify(self, signer: str, text: str, signature: str) -> None:
        """Raises NotProven unless `signer`, its key's SHA-256, signed `text`; KeyError for a stranger."""
        try:
            self._known[signer].verify(base64.b64decode(signature), text.encode(), ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise NotProven("The signature is not of this key.") from None

    def _add(self, load: Callable[[bytes], Any], data: bytes) -> None:
        try:
            key = load(data)
        except UnsupportedAlgorithm as error:
            raise ValueError(f"The public key is of a kind that cannot be read: {error}") from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
            raise ValueError("The public key is not of P-256.")
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self._known[hashlib.sha256(der).hexdigest()] = key


class Checker:
    """Goes through the records of an export, one after the other, and remembers no event."""

    def __init__(self, keys: Keys, noted: str = "") -> None:
        self._keys = keys
        self._noted, self._noted_number = "", 0
        if noted:
            self.note(noted)
        self._chain: str | None = None
        self._at: datetime | None = None  # when the trail was read
        self._head, self._last_id, self._last_text = b"", 0, ""
        self._last_at: datetime | None = None
        self._lowest: int | None = None  # the number of an event that is not sealed, and of none below
        self._strange = 0  # the first checkpoint by a stranger since the last one that counts
        self.stranger = ""  # the key that signed it, SHA-256
        self._signer_now = ""  # whose checkpoint was the last one that counts
        self._followed: set[str] = set()  # those before it, which sign no more
        self._place = 0  # of the line before, in _ORDER
        self._ended = False
        self._tally = Tally()
        self.events = self.unsealed = self.checkpoints = self.proven = self.late = 0
        self.last: dict[str, Any] = {}  # what the last checkpoint that counts says
        self.end: dict[str, Any] = {}  # what the end says, if its signature counts
        self.faults: list[str] = []  # the first ones
        self.number_of_faults = 0

    def note(self, noted: str) -> None:
        """`noted` is the statement of a checkpoint that was seen before, and must come again."""
        self._noted, self._noted_number = noted, said(CHECKPOINT, noted)["number"]

    def take(self, record: Any, where: str) -> None:
        """The next record; whatever is wrong with it is among the faults, with `where` it stands."""
        try:
            if self._ended:
                raise NotProven("There is more after the end.")
            kind = record["type"]
            if set(record) != _FIELDS[kind]:
                raise KeyError(kind)
            if (kind == "export") == (self._chain is not None):
                raise NotProven("An export begins with its first line, and has one such line.")
            if kind != "end":
                self._tally.add(record)
            before, self._place = self._place, _ORDER[kind]
            if self._place < before:
                self._fault(f"{where}: This line, {kind}, stands in another's place.")
            getattr(self, f"_{kind}")(record, where)
        except NotProven as fault:
            self._fault(f"{where}: {fault}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
            # OverflowError: a date at the end of time.
            self._fault(f"{where}: This is not as Hatchery writes it.")

    def end_here(self, settled: int) -> None:
        """The trail was read where it is kept, to its end: nobody signs that. All events with numbers below
        `settled` are sealed.
        """
        self._ended = True
        try:
            self._settle(settled)
        except NotProven as fault:
            self._fault(str(fault))

    @property
    def unproven(self) -> int:
        """How many events no signature that counts is over."""
        return 0 if self.end else self.events - self.proven + self.unsealed

    def finish(self) -> None:
        """After the last record: what is missing is a fault too."""
        if not self._ended:
            self._fault("The export breaks off: its last line, which is signed, is missing.")
        if self._strange:
            self._fault(
                f"Checkpoint {self._strange} and what follows it are signed by the key {self.stranger[:64]}, "
                "which was not given, and which none that was given has endorsed."
            )
        if not self.last:
            self._fault("No checkpoint by a key that was given: nothing is proven.")
        if self._noted:
            self._fault(f"Checkpoint {self._noted_number}, which was noted, is missing: the end was cut off.")

    def _fault(self, words: str) -> None:
        self.number_of_faults += 1
        if len(self.faults) < _MOST_SAID:
            self.faults.append(words)

    def _export(self, record: Mapping[str, Any], where: str) -> None:
        if record["format"] != FORMAT:
            raise NotProven(f"It is in another format; this file reads '{FORMAT}'.")
        self._at = datetime.fromisoformat(record["at"])
        self._chain = str(record["chain"])
        self._head = genesis(self._chain)

    def _signer(self, record: Mapping[str, Any], where: str) -> None:
        self._keys.take(record)

    def _event(self, record: Mapping[str, Any], where: str) -> None:
        event, position = record["event"], _number(record["position"])
        expected, self.events = self.events + 1, position
        before, self._head, self._last_id = self._head, bytes.fromhex(record["hash"]), event["id"]
        if self._last_at and datetime.fromisoformat(event["at"]) < self._last_at - LATE:
            self.late += 1
        if position != expected:
            words = "was put in, or stands in another's place" if position < expected else "is not the next"
            raise NotProven(f"The event at position {position} {words}: position {expected} comes here.")
        if event_hash(before, event) != self._head:
            raise NotProven(
                f"Event {event['id']} at position {position} is not the one that was sealed there."
            )

    def _checkpoint(self, record: Mapping[str, Any], where: str) -> None:
        text = record["statement"]
        tells = said(CHECKPOINT, text)
        number, before = tells["number"], self._last_text
        expected, self.checkpoints, self._last_text = self.checkpoints + 1, number, text
        if number == self._noted_number:
            noted, self._noted = self._noted, ""
            if noted != text:
                raise NotProven(f"Checkpoint {number} is another one than the one that was noted.")
        if record["signer"] not in self._keys:
            if not self._strange:
                self._strange, self.stranger = number, str(record["signer"])
        else:
            self._keys.verify(record["signer"], text, record["signature"])
            self._follow(record["signer"])
        if number != expected or tells["previous"] != (digest(before) if before else ""):
            raise NotProven(f"Checkpoint {number} does not follow the one before it: some are missing.")
        if tells["chain"] != self._chain:
            raise NotProven(f"Checkpoint {number} is of another chain.")
        if (tells["count"], tells["last_event"], tells["head"]) != (
            self.events,
            self._last_id,
            self._head.hex(),
        ):
            raise NotProven(f"Checkpoint {number} was signed over other events than stand before it.")
        self._last_at = datetime.fromisoformat(tells["at"])
        if record["signer"] in self._keys:
            # All before it is under its signature too.
            self._strange, self.stranger, self.proven, self.last = 0, "", self.events, tells

    def _follow(self, signer: str) -> None:
        """A key that was stolen after another one followed it is worth nothing."""
        if signer in self._followed:
            raise NotProven(f"The key {signer} was followed by another one, and signs again.")
        if self._signer_now and signer != self._signer_now:
            self._followed.add(self._signer_now)
        self._signer_now = signer

    def _unsealed(self, record: Mapping[str, Any], where: str) -> None:
        event, number = record["event"], _number(record["event"]["id"])
        self.unsealed += 1
        if self._at and datetime.fromisoformat(event["at"]) > self._at + LATE:
            raise NotProven(
                f"Event {number} is not sealed, and says that it happens over an hour after the trail was "
                "read. A clock was wrong, or it was put in."
            )
        # A checkpoint that is to come was signed by a clock that was ahead.
        if (
            self._last_at
            and datetime.fromisoformat(event["at"]) < min(self._last_at, self._at or self._last_at) - LATE
        ):
            raise NotProven(
                f"Event {number} is not sealed, though it says that it is much older than the last "
                "checkpoint. It came very late, and a later export has it sealed; or it was put in."
            )
        self._lowest = number if self._lowest is None else min(self._lowest, number)

    def _settle(self, settled: int) -> None:
        if self._lowest is not None and self._lowest < settled:
            raise NotProven(
                f"Event {self._lowest} is not sealed, though all with numbers as low as that are: it was put "
                "in."
            )

    def _end(self, record: Mapping[str, Any], where: str) -> None:
        self._ended = True
        if record["signer"] not in self._keys:
            raise NotProven("The end is not signed by a key that was given: it may have been cut off before.")
        self._keys.verify(record["signer"], record["statement"], record["signature"])
        self._follow(record["signer"])
        tells = said(END, record["statement"])
        if tells["chain"] != self._chain:
            raise NotProven("The end is of another chain.")
        if any(tells[name] != value for name, value in self._tally.said().items()):
            raise NotProven("The end was signed over other lines than stand before it.")
        self._settle(_number(tells["settled"]))
        self.end = tells


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def read(lines: Iterable[bytes], name: str) -> Iterator[tuple[Any, str]]:
    """Each line's record and where it stands; None for a line that is not canonical JSON.

    Raises NotProven for CR LF: each line would be a fault, and none says why.
    """
    for number, line in enumerate(lines, 1):
        if line.endswith(b"\r\n"):
            raise NotProven(
                f"{name}, line {number}, ends with CR LF. Something on its way changed the ends of its "
                "lines, as copying it as text does: have it copied as it is."
            )
        record = None
        try:
            found = json.loads(line)
            # Anything else could be read in two ways, such as a key that is there twice.
            record = found if canonical(found) + b"\n" == line else None
        except (ValueError, RecursionError):
            pass
        yield record, f"{name}, line {number}"


def noted(lines: Iterable[bytes], name: str, keys: Keys) -> str:
    """The statement of the last checkpoint of an earlier export, or of a file that has just one.

    Raises NotProven if there is none by a key that is believed.
    """
    last = None
    for line in lines:
        # However it is spaced: it may have been copied by hand, and its signature says whether it is right.
        record = json.loads(line) if line.strip() else None
        if isinstance(record, dict) and record.get("type") == "signer":
            keys.take(record)
        if isinstance(record, dict) and record.get("type") == "checkpoint" and record["signer"] in keys:
            last = record
    if last is None:
        raise NotProven(f"{name} has no checkpoint by a key that was given.")
    keys.verify(last["signer"], last["statement"], last["signature"])
    return str(last["statement"])


def verdict(checker: Checker) -> Iterator[str]:
    """What was found, line by line."""
    for fault in checker.faults:
        yield f"FAULT: {fault}"
    if checker.number_of_faults > len(checker.faults):
        yield f"FAULT: and {checker.number_of_faults - len(checker.faults):,} more."
    if checker.late:
        yield (
            f"NOTE: {checker.late:,} events say that they happened over an hour before a checkpoint that "
            "came before them: what was done took long, a clock was wrong, or somebody dated them back."
        )
    if checker.last:
        yield (
            f"Checkpoint {checker.last['number']} of {checker.last['at']} of chain {checker.last['chain']}: "
            f"{checker.proven:,} events, head {checker.last['head']}."
        )
    if checker.end:
        yield (
            f"The end of {checker.end['at']}, signed too: {checker.end['events']:,} sealed events, and "
            f"{checker.end['unsealed']:,} that are not sealed yet. What happened later is not in it: an "
            "older export that is handed out as a new one has an older time there."
        )
    if checker.unproven:
        yield f"{checker.unproven:,} events after the checkpoint are not proven yet."
    if checker.number_of_faults:
        yield "NOT PROVEN."
    elif checker.unproven:
        yield f"PROVEN up to checkpoint {checker.last['number']}: {_SOUND}"
    else:
        yield f"PROVEN: {_SOUND}"


def _is_of_the_head(record: Any) -> bool:
    return isinstance(record, dict) and record.get("type") in ("export", "signer")


def _lines(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while line := file.readline(_LONGEST_LINE):
            yield line


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check an export of Hatchery's audit trail.")
    parser.add_argument("export", help="what manage.py audit export wrote")
    parser.add_argument(
        "--public-key", required=True, action="append", metavar="FILE", help="PEM; more than one if need be"
    )
    parser.add_argument(
        "--noted",
        metavar="FILE",
        help="an earlier export, or a checkpoint of it: nothing since may be missing",
    )
    asked = parser.parse_args(arguments)
    keys = Keys()
    try:
        for file in asked.public_key:
            keys.give(b"".join(_lines(file)))
        checker = Checker(keys)
        to_note = asked.noted
        for record, where in read(_lines(asked.export), asked.export):
            # A new key may have signed it, which the old one endorsed at the head of this export alone.
            if to_note and not _is_of_the_head(record):
                checker.note(noted(_lines(to_note), to_note, keys))
                to_note = None
            checker.take(record, where)
        if to_note:
            checker.note(noted(_lines(to_note), to_note, keys))
    except OSError as error:
        print(f"{error.filename} cannot be read ({error.strerror}).", file=sys.stderr)
        return 2
    except (NotProven, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        print(f"What was given is no good: {error}", file=sys.stderr)
        return 2
    checker.finish()
    # What an event says may have been chosen by a stranger, and this is a terminal.
    for line in verdict(checker):
        print(line.encode("unicode_escape").decode())
    return 1 if checker.number_of_faults else 0


if __name__ == "__main__":
    sys.exit(main())
