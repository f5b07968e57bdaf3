"""`make advisories`: does an advisory name one of our pins? pip-audit asks PyPI.

Exit status: 0 nothing is known against any pin; 1 something is; 2 not every pin could be looked up, and
against the others nothing is known. pip-audit itself ends with 0 where the index does not know a version.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from requirements.pins import compiled

FOUND, NOT_LOOKED_AT = 1, 2
# Advisories that are known and do not stop anybody for now: their id → why, and until when.
ACCEPTED: dict[str, str] = {}


@dataclass(frozen=True)
class Findings:
    looked_at: int  # pins that the service knows
    advisories: tuple[str, ...]  # a line for each
    not_looked_at: tuple[str, ...]  # why, a line for each pin, or one for all

    @property
    def status(self) -> int:
        return FOUND if self.advisories else NOT_LOOKED_AT if self.not_looked_at else 0


def look(files: Sequence[Path], *arguments: str) -> Findings:
    """Ask about all pins of these files; further arguments are pip-audit's."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--desc", "off", *arguments]
    command += [word for file in files for word in ("--requirement", str(file))]
    told = subprocess.run(command, capture_output=True, text=True)  # noqa: S603  our own words
    try:
        dependencies = json.loads(told.stdout)["dependencies"]
    except ValueError:  # it ended before it had looked
        return Findings(0, (), (_last_line(told.stderr),))
    known = [each for each in dependencies if "vulns" in each]
    return Findings(
        len(known),
        tuple(_told(each, advisory) for each in known for advisory in each["vulns"]),
        tuple(each["skip_reason"] for each in dependencies if "vulns" not in each),
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["pip-audit said nothing"])[-1]


def _told(package: dict[str, str], advisory: dict[str, list[str]]) -> str:
    ids = ", ".join([str(advisory["id"]), *advisory["aliases"]])
    mended = ", ".join(advisory["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {ids}; mended in {mended}"


def main() -> int:
    findings = look(compiled(), *(f"--ignore-vuln={name}" for name in ACCEPTED), *sys.argv[1:])
    for line in findings.advisories:
        print(line)
    print(f"{findings.looked_at} pins looked up, {len(findings.advisories)} advisories.")
    if findings.not_looked_at:
        print(f"NOT LOOKED UP: {len(findings.not_looked_at)}, the first: {findings.not_looked_at[0]}")
    return findings.status


if __name__ == "__main__":
    sys.exit(main())
