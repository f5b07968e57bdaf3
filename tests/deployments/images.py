"""The image of examples/docker, without Docker: what its Dockerfile says, laid into a folder."""

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.server import ROOT

DOCKERFILE = ROOT / "examples" / "docker" / "Dockerfile"


def instructions(stage: int) -> list[tuple[str, str]]:
    """Those of the first or the second stage of the Dockerfile: each with its words."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    stages: list[list[tuple[str, str]]] = []
    for line in filter(None, text.splitlines()):
        name, words = line.split(maxsplit=1)
        if name == "FROM":
            stages.append([])
        stages[-1].append((name, words))
    assert len(stages) == 2
    return stages[stage]


def copied(stage: int) -> list[tuple[str, str]]:
    """Sources in the repository and targets of COPY."""
    said = [words for name, words in instructions(stage) if name == "COPY"]
    return [tuple(words.split()) for words in said if not words.startswith("--from")]


@dataclass
class Image:
    """The second stage of the Dockerfile, in a folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, words in instructions(1):
            if name == "WORKDIR":
                self.work = self.folder / words.lstrip("/")
                self.work.mkdir(parents=True)
            elif name == "ENV":
                self.environment |= dict(word.split("=", 1) for word in shlex.split(words))
            elif name == "ENTRYPOINT":
                self.entrypoint = json.loads(words)
            elif name == "CMD":
                self.command = json.loads(words)
            elif name == "HEALTHCHECK":
                self.health = json.loads(words.partition("CMD")[2])
        for source, target in copied(1):
            # A target from the root, or else from the working directory.
            _copy(ROOT / source, self.folder / target[1:] if target.startswith("/") else self.work / target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # As Dockerfile.dockerignore has it.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
