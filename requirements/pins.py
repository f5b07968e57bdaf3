"""The requirements files that `make pins` compiles, read as values."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
_SOURCE = "-r requirements/"


@dataclass(frozen=True)
class Pin:
    """One package in one version."""

    requirement: Requirement  # with ==, and a marker if it is for some machines only
    hashes: tuple[str, ...]  # SHA-256, in hex, of each file in which this version is published
    asked_by: tuple[
        str, ...
    ]  # packages that pull it in; for what we ask for, the source: requirements-dev.in

    @property
    def name(self) -> str:
        return self.requirement.name

    @property
    def version(self) -> str:
        (specifier,) = self.requirement.specifier
        return specifier.version


def compiled() -> list[Path]:
    """All requirements files with pins, in the project's folder."""
    return sorted(ROOT.glob("requirements*.txt"))


def source_of(file: Path) -> Path:
    """What a file with pins is compiled from."""
    return ROOT / "requirements" / f"{file.stem}.in"


def asked_for(source: Path) -> list[Requirement]:
    """What a source names itself; its `-r` and `-c` lines are left out."""
    lines = (line.partition("#")[0].strip() for line in source.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins(file: Path) -> list[Pin]:
    """The pins of a compiled file. Raises `packaging.requirements.InvalidRequirement` for what is none."""
    return [_pin(entry) for entry in _entries(file.read_text())]


def _entries(text: str) -> Iterator[str]:
    """Each requirement with its lines of hashes and comments."""
    beginnings = [found.start() for found in re.finditer(r"^[^\s#]", text, re.M)]
    for begin, end in zip(beginnings, [*beginnings[1:], len(text)], strict=True):
        yield text[begin:end]


def _pin(entry: str) -> Pin:
    lines = entry.splitlines()
    comments = [line.strip().removeprefix("#").strip() for line in lines if line.strip().startswith("#")]
    asking = [words for line in comments if (words := line.removeprefix("via").strip())]
    return Pin(
        Requirement(lines[0].removesuffix("\\").strip()),
        tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry)),
        tuple(words.removeprefix(_SOURCE) for words in asking if not words.startswith("-c ")),
    )
