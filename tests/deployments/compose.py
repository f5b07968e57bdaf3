"""compose.yaml of examples/docker, read by Compose itself."""

import shutil
from pathlib import Path

import yaml

from tests.clients import needs, run
from tests.deployments.images import DOCKERFILE
from tests.deployments.programs import blocks

FOLDER = DOCKERFILE.parent


def composed(folder: Path) -> dict:
    """The services of compose.yaml as Compose reads them, in a folder where the README's lines were typed."""
    program = needs("docker-compose", package="docker-compose")
    shutil.copy(FOLDER / "compose.yaml", folder)
    typed = run("sh", "-euc", *blocks(FOLDER / "README.md", "sh"), cwd=folder)
    assert typed.returncode == 0, typed.stderr
    read = run(program, "config", cwd=folder)
    assert read.returncode == 0, read.stderr
    return yaml.safe_load(read.stdout)["services"]
