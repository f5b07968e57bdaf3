"""OpenSSL's configuration files (config(5)): sections of `name = value`, as tutorials write them.

Read are comments, continued lines, quotes, and `$name`, `${section::name}`. What stands outside of the file
is not read: `.include` is refused, and `$ENV::NAME` stays as it is written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pki.core.errors import Refusal

LARGEST = 64 * 1024  # characters
_LARGEST_VALUES = 4 * LARGEST  # characters of all values, with what their variables stand for
_NAME = r"[A-Za-z0-9_!.%&*+,/;?@^~|-]+"
_ASSIGNMENT = re.compile(rf"(?:({_NAME})::)?({_NAME})\s*=\s*(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([^}]*)\}|\(([^)]*)\)|(\w*(?:::\w*)?))", re.ASCII)
_QUOTES = "\"'`"
_ESCAPED = {"n": "\n", "r": "\r", "b": "\b", "t": "\t"}
_SECRET = ("password", "passwd", "passphrase", "secret")  # in the names of what is not to be shown
DEFAULT = "default"  # the section of what stands before the first


class ConfigRefused(Refusal):
    """A file that cannot be read as OpenSSL reads it."""

    code = "openssl_config_refused"


@dataclass(frozen=True)
class Entry:
    """One assignment, and the line that it stands on, from 1."""

    name: str
    value: str
    line: int


@dataclass(frozen=True)
class Config:
    """The sections of a file, by name; an assignment may stand twice in one."""

    sections: Mapping[str, tuple[Entry, ...]]

    def section(self, name: str) -> tuple[Entry, ...]:
        """The entries of a section, none if there is no such section."""
        return self.sections.get(name, ())

    def find(self, section: str, name: str) -> Entry | None:
        """The last assignment of `name` in a section, else in the default section; None if there is none."""
        for where in (section, DEFAULT):
            for entry in reversed(self.section(where)):
                if entry.name == name:
                    return entry
        return None

    def value(self, section: str, name: str) -> str | None:
        """Its value."""
        entry = self.find(section, name)
        return entry.value if entry is not None else None


def parse(text: str) -> Config:
    """The sections of a `.cnf` file. Raises ConfigRefused, which names the line."""
    if len(text) > LARGEST:
        raise ConfigRefused(
            f"The file has more than {LARGEST // 1024} KiB; give the part that is about requests."
        )
    sections: dict[str, list[Entry]] = {DEFAULT: []}
    known: dict[tuple[str, str], str] = {}  # section and name → the value that was assigned last
    current, length = DEFAULT, 0
    for number, line in _logical_lines(text):
        if line.startswith(".include"):
            raise ConfigRefused(
                f"Line {number} takes in another file ({line[:40]}); put its text here instead."
            )
        if line.startswith(".pragma"):
            continue
        if section_name := _section(line):
            current = section_name
            sections.setdefault(current, [])
        elif found := _ASSIGNMENT.fullmatch(line):
            section = found[1] or current
            value = known[section, found[2]] = _expanded(found[3].rstrip(), number, section, known)
            length += len(value)
            if length > _LARGEST_VALUES:
                raise ConfigRefused(
                    f"Up to line {number} the values have more than {_LARGEST_VALUES // 1024} KiB."
                )
            sections.setdefault(section, []).append(Entry(found[2], value, number))
        else:
            raise ConfigRefused(f"Line {number} is neither “[section]” nor “name = value”: {line[:40]!r}.")
    return Config({name: tuple(entries) for name, entries in sections.items()})


def without_passwords(text: str) -> str:
    """A file with `***` for each password, whether `input_password` or another one, and for what it is
    made of; its lines keep their numbers.
    """
    secret: set[str] = set()  # names of what passwords further down are made of
    shown: list[str] = []
    for lines in reversed(list(_grouped(text))):
        written, sign, value = "\n".join(lines).partition("=")
        name = written.strip().rpartition("::")[2]
        if sign and (name in secret or any(word in name.lower() for word in _SECRET)):
            secret.update(_variable_name(found).rpartition("::")[2] for found in _VARIABLE.finditer(value))
            # Where the name itself goes on, it is shown up to its first line's end.
            lines = [f"{lines[0].partition('=')[0]}= ***", *[""] * (len(lines) - 1)]
        shown += reversed(lines)
    return "\n".join(reversed(shown))


def _grouped(text: str) -> Iterator[list[str]]:
    """The lines as they stand, those together that go on."""
    lines: list[str] = []
    for line in text.split("\n"):
        lines.append(line)
        if not _goes_on(line.removesuffix("\r")):
            yield lines
            lines = []
    if lines:
        yield lines


def _section(line: str) -> str:
    """The section that a line begins; empty if it begins none."""
    # No pattern: one with spaces on both sides of the name takes hours for a line of spaces.
    name, end, _ = line[1:].partition("]")
    name = name.strip()
    return name if line.startswith("[") and end and "[" not in name else ""


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines that say something, without comments, those that go on joined; with their numbers."""
    begun: tuple[int, str] | None = None
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    for number, raw in enumerate(lines, 1):
        first, before = begun or (number, "")
        whole = before + raw
        if _goes_on(raw) and number < len(lines):
            begun = (first, whole[:-1])
            continue
        begun = None
        line = _uncommented(whole).strip()
        if line:
            yield first, line


def _goes_on(raw: str) -> bool:
    """Whether the next line belongs to this one."""
    return raw.endswith("\\") and not raw.endswith("\\\\")


def _uncommented(line: str) -> str:
    """A line up to its `#`, unless that is quoted or escaped."""
    quote = ""
    skip = False
    for place, character in enumerate(line):
        if skip:
            skip = False
        elif character == "\\":
            skip = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in _QUOTES:
            quote = character
        elif character == "#":
            return line[:place]
    return line


def _expanded(value: str, line: int, current: str, known: Mapping[tuple[str, str], str]) -> str:
    """A value without its quotes and escapes, with what its variables stand for; in quotes none does."""
    parts: list[str] = []
    length = place = 0
    quote = ""
    while place < len(value):
        character = value[place]
        variable = _VARIABLE.match(value, place) if character == "$" and not quote else None
        if character == "\\":
            escaped = value[place + 1 : place + 2]
            parts.append(escaped if quote else _ESCAPED.get(escaped, escaped))
            place += 2
        elif variable is not None:
            parts.append(_meant(variable, line, current, known))
            place = variable.end()
        else:
            if quote:
                is_quote, quote = character == quote, "" if character == quote else quote
            else:
                is_quote = character in _QUOTES
                quote = character if is_quote else ""
            parts.append("" if is_quote else character)
            place += 1
        length += len(parts[-1])
        if length > LARGEST:
            raise ConfigRefused(f"Line {line} becomes larger than {LARGEST // 1024} KiB.")
    return "".join(parts)


def _meant(found: re.Match[str], line: int, current: str, known: Mapping[tuple[str, str], str]) -> str:
    """What a variable stands for."""
    written = _variable_name(found)
    section, separator, name = written.rpartition("::")
    if section == "ENV":
        return found[0]
    for where in (section,) if separator else (current, DEFAULT):
        if (where, name) in known:
            return known[where, name]
    raise ConfigRefused(f"Line {line} uses ${written[:40]}, which no line before it sets.")


def _variable_name(found: re.Match[str]) -> str:
    """A variable's name as it is written, with its section if that is."""
    return found[1] or found[2] or found[3] or ""
