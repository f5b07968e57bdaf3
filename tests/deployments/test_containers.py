"""What the containers of examples/docker and examples/kubernetes would run, run over one PostgreSQL."""

import os
import shutil
from pathlib import Path

from tests import postgres
from tests.clients import needs, run
from tests.deployments.compose import composed
from tests.deployments.images import DOCKERFILE, Image
from tests.deployments.manifests import manifest, pod
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


def with_paths(given: dict[str, str], image: Image, here: dict[str, Path]) -> dict[str, str]:
    """A container's environment, with this machine's paths in the place of the image's."""
    venv = {"/srv/hatchery/.venv/bin:$PATH": f"{image.folder / 'usr/local/bin'}:{BIN}:{os.environ['PATH']}"}
    found = {name: instead(value, {**here, **venv}) for name, value in {**image.environment, **given}.items()}
    # The image has its code compiled; here each process would compile it anew.
    return {**found, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{image.folder}-compiled"}


def of_pod(container: dict, secrets: Path) -> dict[str, str]:
    """The environment that Kubernetes gives a container: of the ConfigMap, and by references to secrets."""
    given = dict(manifest("ConfigMap")["data"])
    for entry in container["env"]:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        given[entry["name"]] = (secrets / reference["key"]).read_text() if reference else entry["value"]
    return given


def typed(word: str) -> list[str]:
    """The words after `exec hatchery` of the line in docker's README that has `word`."""
    lines = "".join(blocks(DOCKERFILE.with_name("README.md"), "console")).splitlines()
    (line,) = (line for line in lines if word in line)
    return line.partition("exec hatchery ")[2].split()


def test_compose_serves_devices_and_kubernetes_adds_a_node_that_knows_them(tmp_path):
    """One walk: a database, its migrations and each start cost seconds of the processor."""
    services = composed(tmp_path)
    image = Image(tmp_path / "image")
    laid = set(image.work.rglob("*"))
    secrets, first, second = tmp_path / "secrets", tmp_path / "first", tmp_path / "second"
    with postgres.running(needs(postgres.PROGRAM, package=postgres.PACKAGE)) as url:
        address = secrets / "database-url"
        address.chmod(0o600)
        # The password stays in it, though this PostgreSQL does not ask.
        address.write_text(
            address.read_text().replace("@database/", url[url.index("@") : url.rindex("/") + 1])
        )

        settings, ports = on_this_machine()
        first.mkdir(mode=0o700)
        here = {"/run/secrets": secrets, "/var/lib/hatchery": first}

        def of_compose(service: str) -> dict[str, str]:
            return {**with_paths(services[service]["environment"], image, here), **settings}

        for service in ("migrate", "bootstrap"):
            done([*image.entrypoint, *services[service]["command"]], image.work, of_compose(service))
        given, log = of_compose("hatchery"), tmp_path / "first.log"
        with served([*image.entrypoint, *image.command], image.work, given, log) as process:
            assert is_up(process, ports["status"], log)
            asked = instead("\0".join(image.health), {"8080": str(ports["status"])}).split("\0")
            done(asked, image.work, given)
            words = typed("issue_token")
            token = done(words, image.work, given).split()[-1]
            identity = enroll(tmp_path, ports, words[-1], token)
            greeting = f"Hello {words[-1]}, mutual trust established"
            assert greeting in answers(ports["secure"], *identity, path="/secure")
        # All that nobody gave is the administrator's password; and the database is elsewhere.
        # Whether the first checkpoint of the audit trail is noted by now is a matter of moments.
        kept = {path.name for path in first.iterdir()} - {"audit-checkpoint.jsonl"}
        assert kept == {"bootstrap.lock", "keys", "secrets"}
        assert [path.name for path in (first / "secrets").iterdir()] == ["admin-password"]

        _a_pod_joins(tmp_path, image, second, first / "keys", identity, greeting)
    # A container's file system is read-only.
    assert set(image.work.rglob("*")) == laid


def _a_pod_joins(tmp_path, image, data, keys_of_first, identity, greeting) -> None:
    settings, ports = on_this_machine()
    seed = tmp_path / "seed"
    here = {"/run/hatchery-keys": seed, "/run/hatchery": tmp_path / "secrets", "/var/lib/hatchery": data}
    keys, bootstrap = pod("StatefulSet")["initContainers"]
    (main,) = pod("StatefulSet")["containers"]
    given = {**with_paths(of_pod(main, tmp_path / "secrets"), image, here), **settings}
    assert of_pod(bootstrap, tmp_path / "secrets") == of_pod(main, tmp_path / "secrets")
    start = [*image.entrypoint, *bootstrap["args"]]
    fetch = [*keys["command"], *(instead(script, here) for script in keys["args"])]

    # The secret is not there, and its volume is empty: only the first node may make keys.
    seed.mkdir()
    done(fetch, tmp_path, {"HOSTNAME": "hatchery-0"})
    refused = run("env", "HOSTNAME=hatchery-1", *fetch)
    assert (refused.returncode, b"no key in the secret" in refused.stderr) == (1, True)

    for key in keys_of_first.glob("*.pem"):
        shutil.copy(key, seed)
    own = data / "keys" / "of-this-node.pem"
    own.write_text("kept")
    (seed / own.name).write_text("not this one")
    for _ in range(2):
        done(fetch, tmp_path, {"HOSTNAME": "hatchery-1"})
    assert own.read_text() == "kept"
    own.unlink()
    copies = {path.name: path.read_bytes() for path in (data / "keys").iterdir()}
    assert copies == {path.name: path.read_bytes() for path in keys_of_first.glob("*.pem")}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (data / "keys").iterdir())

    assert "Everything is there already." in done(start, image.work, given)
    log = tmp_path / "second.log"
    with served([*image.entrypoint, *image.command], image.work, given, log) as process:
        assert is_up(process, ports["status"], log)
        probe = main["startupProbe"]["httpGet"]["path"]
        assert answers(ports["status"], scheme="http", path=probe)
        assert greeting in _client(tmp_path, identity, ports["secure"])


def _client(tmp_path: Path, identity: tuple[str | Path, ...], port: int) -> str:
    """What the curl of client.yaml prints, with a device's files where the secret's would be."""
    files = tmp_path / "identity"
    files.mkdir(exist_ok=True)
    for source, name in zip(identity[1::2], ("ca.crt", "tls.crt", "tls.key"), strict=True):
        shutil.copy(source, files / name)
    (curl,) = pod("Pod")["containers"]
    here = {"/run/identity": files, "hatchery.hatchery.svc:8444": f"localhost:{port}"}
    ended = run(*curl["command"], *(instead(word, here) for word in curl["args"]))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.decode()
