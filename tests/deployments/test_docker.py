"""examples/docker, as strangers judge it; tests.deployments.test_containers runs it."""

import json
import re
from pathlib import Path

import environ
import pytest

from tests.clients import needs, run
from tests.deployments.compose import composed
from tests.deployments.images import DOCKERFILE, copied, instructions
from tests.deployments.programs import blocks
from tests.deployments.settings import READ
from tests.server import LISTENERS, ROOT

FOLDER = DOCKERFILE.parent


def test_hadolint_finds_no_fault_in_the_dockerfile(tmp_path):
    program = needs("hadolint", package="requirements-examples.txt", installer="pip install -r")
    judged = run(program, DOCKERFILE)
    assert (judged.returncode, judged.stdout) == (0, b"")
    broken = DOCKERFILE.read_text().replace("3.11-slim-bookworm", "latest")
    (tmp_path / "Dockerfile").write_text(broken)
    assert b"DL3007" in run(program, tmp_path / "Dockerfile").stdout


def test_what_is_copied_is_there_and_nothing_else_is_let_through():
    sources = {source for stage in (0, 1) for source, _ in copied(stage)}
    assert all((ROOT / source).exists() for source in sources)
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == sources


def test_the_image_runs_as_nobody_who_can_do_anything_and_holds_no_secret():
    assert [words for name, words in instructions(1) if name == "USER"] == ["10001:10001"]
    assert not re.search("PASSPHRASE|SECRET|DATABASE", DOCKERFILE.read_text())


def test_compose_keeps_secrets_in_files_and_containers_small(tmp_path):
    services = composed(tmp_path)
    ours = {name: service for name, service in services.items() if service["image"] == "hatchery"}
    assert set(ours) == {"migrate", "bootstrap", "hatchery"}
    for service in ours.values():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert {name.removesuffix("_FILE") for name in service["environment"]} <= READ | {
            "PORTAL_KEY_PASSPHRASE"
        }
    secrets = {path.read_text().strip() for path in (tmp_path / "secrets").iterdir()}
    assert len(secrets) == 4
    assert not any(secret in json.dumps(services) for secret in secrets)
    (tmp_path / ".env").unlink()
    assert b"PORTAL_HOSTNAMES" in run("docker-compose", "config", cwd=tmp_path).stderr


def test_compose_publishes_the_console_on_the_loopback_alone(tmp_path):
    published = composed(tmp_path)["hatchery"]["ports"]
    assert len(published) == len(LISTENERS)
    assert [port for port in published if "8446" in str(port)] == ["127.0.0.1:8446:8446/tcp"]


def test_copies_of_the_database_and_the_keys_are_for_their_owner_alone():
    (lines,) = (block.splitlines() for block in blocks(FOLDER / "README.md", "console") if "pg_dump" in block)
    (begun,) = (number for number, line in enumerate(lines) if line == "$ umask 077")
    written = [number for number, line in enumerate(lines) if re.search(r">\w", line)]
    assert len(written) == 2
    assert begun < min(written)


@pytest.mark.parametrize("file", ["kubernetes/README.md", "systemd/hatchery.env"])
def test_a_database_of_another_machine_has_to_prove_itself(file):
    (url,) = re.findall(r"postgres://[^\s']+", (FOLDER.parent / file).read_text())
    options = environ.Env.db_url_config(url)["OPTIONS"]
    assert options["sslmode"] == "verify-full"
    assert Path(options["sslrootcert"]).is_absolute()


def test_the_secrets_of_files_reach_a_command_and_no_command_line(tmp_path):
    (tmp_path / "url").write_text("postgres://u:p w'$`\"@h/d\n")
    given = (f"DATABASE_URL_FILE={tmp_path / 'url'}", "SECRET_KEY=as-it-is", "EMAIL_URL_FILE=")
    said = run("env", *given, FOLDER / "with-secrets", "env", "-0")
    heard = dict(line.split("=", 1) for line in said.stdout.decode().split("\0") if line)
    assert heard["DATABASE_URL"] == "postgres://u:p w'$`\"@h/d"
    assert (heard["SECRET_KEY"], "EMAIL_URL" in heard) == ("as-it-is", False)
    failed = run("env", "SECRET_KEY_FILE=/nowhere", FOLDER / "with-secrets", "true")
    assert failed.returncode != 0
    checked = run(needs("shellcheck", package="shellcheck"), FOLDER / "with-secrets")
    assert checked.returncode == 0, checked.stdout.decode()
