"""examples/docker: judged by strangers, and run without Docker, in a folder that has what the image has."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests import postgres
from tests.clients import needs, run
from tests.deployments.programs import (
    BIN,
    answers,
    blocks,
    done,
    enroll,
    instead,
    is_up,
    on_this_machine,
    served,
)
from tests.server import ROOT

FOLDER = ROOT / "examples" / "docker"
PIP = {"package": "requirements-examples.txt", "installer": "pip install -r"}


def instructions(stage: int) -> list[tuple[str, str]]:
    """A stage of the Dockerfile: each instruction with its words."""
    text = re.sub(r"^#.*\n", "", (FOLDER / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line]
    starts = [number for number, (name, _) in enumerate(lines) if name == "FROM"]
    assert len(starts) == 2
    return [(name, words) for name, words in lines[starts[stage] : (*starts[1:], None)[stage]]]


def image(folder: Path) -> tuple[Path, dict[str, str], list[str], list[str], list[str]]:
    """The working directory of what COPY lays into a folder; ENV, ENTRYPOINT, CMD and the health check."""
    environment: dict[str, str] = {}
    words: dict[str, list[str]] = {}
    there = folder
    for name, said in instructions(1):
        if name == "WORKDIR":
            there = folder / said.lstrip("/")
            there.mkdir(parents=True)
        elif name == "COPY" and not said.startswith("--from"):
            source, target = said.split()
            target = there / target if not target.startswith("/") else folder / target.lstrip("/")
            _copy(ROOT / source, target)
        elif name == "ENV":
            environment |= dict(word.split("=", 1) for word in shlex.split(said))
        elif name in ("ENTRYPOINT", "CMD"):
            words[name] = json.loads(said)
        elif name == "HEALTHCHECK":
            words[name] = json.loads(said.partition("CMD")[2])
    return there, environment, words["ENTRYPOINT"], words["CMD"], words["HEALTHCHECK"]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        # As Dockerfile.dockerignore has it.
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def composed(folder: Path, **settings: str) -> dict:
    """compose.yaml as Compose understands it, in a folder where the README's lines were typed."""
    program = needs("docker-compose", package="docker-compose")
    shutil.copy(FOLDER / "compose.yaml", folder)
    typed = run("sh", "-euc", *blocks(FOLDER / "README.md", "sh"), cwd=folder)
    assert typed.returncode == 0, typed.stderr
    read = run(program, "config", cwd=folder)
    assert read.returncode == 0, read.stderr
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(read.stdout)


def test_hadolint_finds_no_fault_in_the_dockerfile(tmp_path):
    program = needs("hadolint", **PIP)
    judged = run(program, FOLDER / "Dockerfile")
    assert (judged.returncode, judged.stdout) == (0, b"")
    broken = (FOLDER / "Dockerfile").read_text().replace("3.11-slim-bookworm", "latest")
    (tmp_path / "Dockerfile").write_text(broken)
    assert b"DL3007" in run(program, tmp_path / "Dockerfile").stdout


def test_what_is_copied_is_there_and_let_through_and_nothing_else_is():
    copied = {
        words.split()[0]
        for stage in (0, 1)
        for name, words in instructions(stage)
        if name == "COPY" and not words.startswith("--from")
    }
    assert all((ROOT / source).exists() for source in copied)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == copied


def test_the_image_runs_as_nobody_who_can_do_anything():
    users = [words for name, words in instructions(1) if name == "USER"]
    assert users == ["10001:10001"]
    assert not any("PASSPHRASE" in words or "SECRET" in words for _, words in instructions(1))


def test_compose_keeps_secrets_in_files_and_containers_small(tmp_path):
    services = composed(tmp_path)["services"]
    ours = {name: service for name, service in services.items() if service["image"] == "hatchery"}
    assert set(ours) == {"migrate", "bootstrap", "hatchery"}
    for service in ours.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
    secret = {path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    assert not any(each in json.dumps(services) for each in secret)
    assert services["database"]["image"].partition("-")[0] == "postgres:15"
    (tmp_path / ".env").unlink()
    assert b"PORTAL_HOSTNAMES" in run("docker-compose", "config", cwd=tmp_path).stderr


def test_what_the_containers_would_run_serves_devices_over_postgresql(tmp_path):
    """One walk: a database, migrations and a start cost seconds of the processor."""
    services = composed(tmp_path)["services"]
    there, given, entrypoint, command, health = image(tmp_path / "image")
    data = tmp_path / "image/var/lib/hatchery"
    data.mkdir(parents=True)
    settings, ports = on_this_machine()
    here = {
        "/run/secrets": tmp_path / "secrets",
        "/var/lib/hatchery": data,
        "/srv/hatchery/.venv/bin:$PATH": f"{tmp_path / 'image/usr/local/bin'}:{BIN}:{os.environ['PATH']}",
    }
    before = set(there.rglob("*"))
    with postgres.running(needs(postgres.PROGRAM, package=postgres.PACKAGE)) as url:
        address = tmp_path / "secrets/database-url"
        address.chmod(0o600)
        address.write_text(
            address.read_text().replace("@database/", f"{url[url.index('@') :].rpartition('/')[0]}/")
        )

        def environment(service: str) -> dict[str, str]:
            ours = {**given, **services[service]["environment"]}
            return {**{name: instead(value, here) for name, value in ours.items()}, **settings}

        for service in ("migrate", "bootstrap"):
            done([*entrypoint, *services[service]["command"]], there, environment(service))
        log = tmp_path / "log"
        with served([*entrypoint, *command], there, environment("hatchery"), log) as process:
            assert is_up(process, ports["status"], log)
            done(
                instead("\0".join(health), {"8080": str(ports["status"])}).split("\0"),
                there,
                environment("hatchery"),
            )
            (line,) = (
                line
                for line in "".join(blocks(FOLDER / "README.md", "console")).splitlines()
                if "issue_token" in line
            )
            words = line.partition("exec hatchery ")[2].split()
            token = done(words, there, environment("hatchery")).split()[-1]
            identity = enroll(tmp_path, ports, words[-1], token)
            greeting = answers(ports["secure"], *identity, path="/secure")
            assert f"Hello {words[-1]}, mutual trust established" in greeting
    assert not (data / "db.sqlite3").exists()
    # secrets/ has only what nobody gave.
    assert [path.name for path in (data / "secrets").iterdir()] == ["admin-password"]
    # The container's file system is read-only.
    assert set(there.rglob("*")) == before
