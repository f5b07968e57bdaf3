"""Registering many devices: a sheet is read, every line is checked, and then all are made or none."""

import re
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pki.core import names, sheets
from pki.core.sheets import Row, SheetRefused
from pki.models import Device, DeviceGroup, Profile
from pki.services.audit import Actor
from pki.services.enrolling import tokens
from pki.services.enrolling.tokens import Handed
from pki.services.fleet import devices
from pki.services.fleet.devices import NewDevice
from pki.services.transactions import writing

MOST = 10_000
# Without a header, cells stand in this order.
COLUMNS = ("name", "profile", "groups", "labels", "sans", "C", "ST", "L", "O", "OU")
_COLUMN_OF = {column.lower(): column for column in COLUMNS} | {
    "group": "groups",
    "label": "labels",
    "san": "sans",
}
_SUBJECT = [short for short in names.SUBJECT_ATTRIBUTES if short != "CN"]
_WORDS = re.compile(r"[\s,;|]+")
# A URI may hold a comma or a semicolon itself: one separates SANs only where a next one begins.
_BETWEEN_SANS = re.compile(r"[\s|]+|[,;]+\s*(?=(?:DNS|IP|email|URI):|$)", re.IGNORECASE)
_BATCH = 500


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line, and what to do about it."""

    line: int
    name: str
    what: str


@dataclass
class Roster:
    """What a sheet would register, and everything that is wrong with it."""

    new: list[NewDevice] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """How far a registration is."""

    doing: str
    done: int  # devices
    handed: list[Handed] = field(default_factory=list, repr=False)


def read(text: str, default: Profile) -> Roster:
    """Check every line of a sheet. Raises SheetRefused for one that cannot be read as lines at all."""
    rows = sheets.rows(text)
    if not rows:
        raise SheetRefused("There is no device in it; write one a line.")
    columns = list(COLUMNS)
    roster = Roster()
    if "name" in [cell.lower() for cell in rows[0].cells]:
        columns = _header(rows.pop(0), roster)
        if not rows:
            raise SheetRefused("There is a header and no device below it; write one a line.")
    if len(rows) > MOST:
        raise SheetRefused(f"At most {MOST:,} devices are registered at once; this has {len(rows):,}.")
    _Reader(columns, default, roster).read(rows)
    roster.problems.sort(key=lambda problem: problem.line)
    return roster


def register(
    roster: Roster, actor: Actor, now: datetime, lifetime: timedelta | None = None
) -> Generator[Step, None, None]:
    """Make all devices of a roster, or none; then a token for each, if they are to live for `lifetime`.

    It goes on as it is iterated: nothing stands before the first step that makes tokens, or the end, and
    whoever closes it before has made nothing. Tokens are made in batches of their own, so that devices that
    enroll meanwhile wait for none of it longer than they must. Raises SheetRefused or DeviceExists.
    """
    if roster.problems:
        raise SheetRefused("Nothing is registered while a line has an error.")
    made: list[Device] = []
    with writing():
        for batch in devices.register_each(roster.new, actor, now):
            made += batch
            yield Step("Registering", len(made))
    if lifetime is None:
        return
    for start in range(0, len(made), devices.BATCH):
        batch = made[start : start + devices.BATCH]
        handed = tokens.make_each(batch, actor, now, lifetime)
        yield Step("Making tokens", start + len(batch), handed)


def _header(row: Row, roster: Roster) -> list[str]:
    columns = []
    for cell in row.cells:
        column = _COLUMN_OF.get(cell.lower(), "")
        if not column and cell:
            roster.problems.append(
                Problem(row.line, "", f"There is no column {cell[:64]!r}; there are {', '.join(COLUMNS)}.")
            )
        columns.append(column)
    for column, times in Counter(filter(None, columns)).items():
        if times > 1:
            roster.problems.append(Problem(row.line, "", f"The column {column!r} is there twice."))
    return columns


class _Reader:
    """Rows on their way to devices."""

    def __init__(self, columns: Sequence[str], default: Profile, roster: Roster) -> None:
        self._columns = columns
        self._roster = roster
        self._default = default
        self._profiles = {profile.name: profile for profile in Profile.objects.all()}
        self._groups: dict[str, DeviceGroup] = {}

    def read(self, rows: Sequence[Row]) -> None:
        cells = [self._cells(row) for row in rows]
        self._groups = _known_groups({name for each in cells for name in _split(each.get("groups", ""))})
        first_on: dict[str, int] = {}
        taken = _taken([each.get("name", "") for each in cells])
        for row, each in zip(rows, cells, strict=True):
            name = each.get("name", "")
            if name in first_on:
                self._refuse(
                    row, name, f"This name is on line {first_on[name]} already; leave one of them out."
                )
                continue
            if name:
                first_on[name] = row.line
            if name in taken:
                self._refuse(row, name, "A device of this name exists already; leave the line out.")
                continue
            self._device(row, name, each)

    def _cells(self, row: Row) -> Mapping[str, str]:
        if any(row.cells[len(self._columns) :]):
            self._refuse(row, row.cells[0], "The line has more cells than there are columns.")
        return dict(zip(self._columns, row.cells, strict=False))

    def _device(self, row: Row, name: str, cells: Mapping[str, str]) -> None:
        before = len(self._roster.problems)
        new = NewDevice(
            name=name,
            profile=self._profile(row, name, cells.get("profile", "")),
            subject=self._subject(row, name, cells),
            sans=self._sans(row, name, cells.get("sans", "")),
            groups=self._in_groups(row, name, cells.get("groups", "")),
            labels=self._labels(row, name, cells.get("labels", "")),
        )
        try:
            names.device_name(name)
        except names.NameRefused as refusal:
            self._refuse(row, name, refusal.detail)
        if len(self._roster.problems) == before:
            self._roster.new.append(new)

    def _profile(self, row: Row, name: str, wanted: str) -> Profile:
        profile = self._profiles.get(wanted) if wanted else self._default
        if profile is None:
            known = ", ".join(sorted(self._profiles)[:20])
            self._refuse(row, name, f"There is no profile {wanted[:64]!r}; there are {known}.")
        return profile or self._default

    def _subject(self, row: Row, name: str, cells: Mapping[str, str]) -> dict[str, str]:
        subject = {short: cells[short] for short in _SUBJECT if cells.get(short)}
        try:
            return names.checked_subject(subject)
        except names.NameRefused as refusal:
            self._refuse(row, name, refusal.detail)
            return {}

    def _sans(self, row: Row, name: str, cell: str) -> list[str]:
        sans = []
        for word in filter(None, _BETWEEN_SANS.split(cell)):
            try:
                sans.append(str(names.parse_san(word)))
            except names.NameRefused as refusal:
                self._refuse(row, name, f"{word[:64]!r}: {refusal.detail}")
        return list(dict.fromkeys(sans))

    def _in_groups(self, row: Row, name: str, cell: str) -> list[DeviceGroup]:
        groups = []
        for word in _split(cell):
            if word in self._groups:
                groups.append(self._groups[word])
            else:
                self._refuse(row, name, f"There is no group {word[:64]!r}; make it first.")
        return groups

    def _labels(self, row: Row, name: str, cell: str) -> list[str]:
        labels = []
        for word in _split(cell):
            try:
                labels.append(names.label(word))
            except names.NameRefused as refusal:
                self._refuse(row, name, f"{word[:64]!r}: {refusal.detail}")
        return labels

    def _refuse(self, row: Row, name: str, what: str) -> None:
        self._roster.problems.append(Problem(row.line, name[:64], what))


def _split(cell: str) -> list[str]:
    return list(dict.fromkeys(filter(None, _WORDS.split(cell))))


def _taken(wanted: Sequence[str]) -> set[str]:
    """Those of these names that are on record."""
    taken: set[str] = set()
    for start in range(0, len(wanted), _BATCH):
        some = wanted[start : start + _BATCH]
        taken |= set(Device.objects.filter(name__in=some).values_list("name", flat=True))
    return taken


def _known_groups(wanted: set[str]) -> dict[str, DeviceGroup]:
    ordered = sorted(wanted)
    known: dict[str, DeviceGroup] = {}
    for start in range(0, len(ordered), _BATCH):
        some = ordered[start : start + _BATCH]
        known |= {group.name: group for group in DeviceGroup.objects.filter(name__in=some)}
    return known
