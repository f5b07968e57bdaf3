"""examples/systemd: the README's lines, what systemd says of what they install, and the services' lines."""

import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import needs, run
from tests.deployments.programs import (
    BIN,
    STARTS_WITHIN,
    answers,
    blocks,
    done,
    enroll,
    instead,
    on_this_machine,
    served,
)
from tests.server import LISTENERS, ROOT, Server

FOLDER = ROOT / "examples" / "systemd"
README = FOLDER / "README.md"
SYSTEMD_UNITS = Path("/usr/lib/systemd/system")
SERVICES = ("hatchery@.service", "hatchery-prepare.service", "hatchery-sessions.service")


@pytest.fixture
def machine(tmp_path) -> Path:
    """A folder as the root of a machine on which the README's first lines were typed."""
    needs("systemd-sysusers", package="systemd")
    here = {name: tmp_path / name[1:] for name in ("/etc/", "/usr/local/")}
    lines = instead(blocks(README, "sh")[0], {**here, "/srv/hatchery": ROOT})
    typed = lines.replace("systemd-sysusers", f"systemd-sysusers --root={tmp_path}")
    ended = run("sh", "-euc", re.sub(rf"{tmp_path}/(etc|usr/local)(?=\w)", r"\g<0>/", typed))
    assert ended.returncode == 0, ended.stderr
    return tmp_path


def judged(machine: Path, *words: str) -> tuple[int, str]:
    """What systemd-analyze says of a machine's units."""
    program = needs("systemd-analyze", package="systemd")
    if not (machine / "usr/lib").exists():
        shutil.copytree(SYSTEMD_UNITS, machine / "usr/lib/systemd/system", symlinks=True)
        for name in ("python", "gunicorn"):
            there = machine / "srv/hatchery/.venv/bin" / name
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch(mode=0o755)
    ended = run(program, words[0], f"--root={machine}", "--no-pager", *words[1:])
    return ended.returncode, (ended.stdout + ended.stderr).decode()


def verified(machine: Path, *units: str) -> tuple[int, list[str]]:
    """The verdict on our units, and what is said of them; the system's may have faults of their own."""
    status, said = judged(machine, "verify", "--recursive-errors=no", *units)
    ours = f"{machine}/etc/systemd/system/"
    return status, [line for line in said.splitlines() if line.startswith((ours, "hatchery"))]


def test_systemd_finds_no_fault_in_what_the_readme_installs(machine):
    started = [f"hatchery@{name}.service" for name in LISTENERS]
    units = (*started, *SERVICES[1:], "hatchery-sessions.timer", "hatchery.target")
    assert verified(machine, *units) == (0, [])
    drop_in = machine / "etc/systemd/system/hatchery@.service.d/service.conf"
    drop_in.write_text(drop_in.read_text().replace("=strict", "=strickt"))
    (fault,) = set(verified(machine, "hatchery@hello.service")[1])
    assert "Failed to parse protect system value" in fault


def test_each_service_is_confined_as_far_as_the_readme_says(machine):
    promised = float(re.search(r"^says ([0-9.]+) or less for each", README.read_text(), re.M)[1])
    (line,) = (line for line in blocks(README, "sh")[-1].splitlines() if line)
    program, *words = line.split()
    assert program == "systemd-analyze"
    status, said = judged(machine, *words)
    found = re.findall(r"Overall exposure level for (\S+): ([0-9.]+)", said)
    assert (status, len(found)) == (0, len(SERVICES)), said
    assert all(float(level) <= promised for _, level in found), found


def test_the_user_owns_its_folder_alone_and_has_no_shell(machine):
    (entry,) = (machine / "etc/passwd").read_text().splitlines()
    name, _, _, _, _, home, shell = entry.split(":")
    assert (name, home, shell) == ("hatchery", "/var/lib/hatchery", "/usr/sbin/nologin")
    secret = machine / "etc/hatchery/key-passphrase"
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(secret.read_text().strip()) >= 40


@dataclass
class Service:
    """A service as systemd would start it, on a machine that is a folder."""

    machine: Path
    template: str
    instance: str = ""

    def __post_init__(self) -> None:
        folder = self.machine / "etc/systemd/system"
        self.lines = (folder / self.template).read_text().splitlines()
        self.lines += (folder / f"{self.template}.d/service.conf").read_text().splitlines()
        self.credentials = self.machine / "run/credentials" / (self.instance or self.template)
        self.credentials.mkdir(parents=True)
        for line in self.all("LoadCredential"):
            name, _, path = line.partition(":")
            shutil.copy(self.machine / path[1:], self.credentials / name)

    def all(self, name: str) -> list[str]:
        """The values of a setting, in their order."""
        values = [line.removeprefix(f"{name}=") for line in self.lines if line.startswith(f"{name}=")]
        # systemd.unit(5), specifiers: the instance, and the folder of the credentials.
        return [value.replace("%i", self.instance).replace("%d", str(self.credentials)) for value in values]

    @property
    def environment(self) -> dict[str, str]:
        """systemd.exec(5): what a file says wins; one that is marked by "-" may be missing."""
        here = {"/var/lib/": f"{self.machine}/var/lib/"}
        given = dict(instead(line, here).split("=", 1) for line in self.all("Environment"))
        for line in self.all("EnvironmentFile"):
            path = self.machine / line.lstrip("-/")
            if line.startswith("-") and not path.exists():
                continue
            settings = (line for line in path.read_text().splitlines() if re.match("[A-Z]", line))
            given |= dict(setting.split("=", 1) for setting in settings)
        return given

    @property
    def commands(self) -> list[list[str]]:
        (folder,) = self.all("WorkingDirectory")
        assert folder == "/srv/hatchery"
        return [instead(line, {"/srv/hatchery/.venv/bin": BIN}).split() for line in self.all("ExecStart")]


@pytest.fixture
def ready(tmp_path) -> Iterator[socket.socket]:
    """Where services tell systemd how they are (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(STARTS_WITHIN)
        yield listening


def test_no_network_reaches_the_console_before_somebody_says_so(machine):
    hosts = {
        name: Service(machine, "hatchery@.service", name).environment["PORTAL_BIND_HOST"]
        for name in LISTENERS
    }
    assert hosts.pop("console") == "127.0.0.1"
    assert set(hosts.values()) == {"0.0.0.0"}  # noqa: S104  devices are to reach these


def test_the_services_lines_serve_each_listener_by_itself_over_one_folder(machine, ready):
    """One walk, because each process takes a second of the processor to start."""
    settings, ports = on_this_machine()
    with (machine / "etc/hatchery/hatchery.env").open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in settings.items())
    with (machine / "etc/hatchery/console.env").open("a") as file:
        file.write("PORTAL_SESSION_SECONDS=600\n")
    data = machine / "var/lib/hatchery"  # StateDirectory=
    data.mkdir(parents=True, mode=0o700)
    Server(data).copy_tables()  # what `migrate` makes from nothing, it makes in other tests

    prepare = Service(machine, "hatchery-prepare.service")
    said = [done(command, ROOT, prepare.environment) for command in prepare.commands]
    assert "Made the issuer" in said[-1]
    assert not (data / "demo").exists()
    # The passphrase is the one that was handed over; none was made beside the keys.
    assert sorted(path.name for path in (data / "secrets").iterdir()) == ["admin-password", "secret-key"]

    with ExitStack() as running:
        processes = {}
        for name in LISTENERS:
            service = Service(machine, "hatchery@.service", name)
            assert service.environment["PORTAL_LISTENERS"] == name
            assert ("PORTAL_SESSION_SECONDS" in service.environment) == (name == "console")
            given = {**service.environment, "NOTIFY_SOCKET": str(machine / "notify")}
            (command,) = service.commands
            log = machine / f"{name}.log"
            processes[name] = running.enter_context(served(command, ROOT, given, log))
        for _ in LISTENERS:
            assert ready.recv(1024).startswith(b"READY=1"), "a service did not say that it listens"

        manage = instead(
            (FOLDER / "hatchery-manage").read_text(),
            {
                "cd /srv/hatchery": f"cd {ROOT}",
                "/etc/hatchery": machine / "etc/hatchery",
                "/var/lib/hatchery": data,
                ".venv/bin/python": BIN / "python",
                # The machine's user is not this one's.
                "--reuid=hatchery --regid=hatchery --init-groups": "",
            },
        )
        (line,) = (line for line in blocks(README, "sh")[1].splitlines() if line)
        words = line.split()
        assert words[0] == "hatchery-manage"
        token = done(["sh", "-c", manage, *words], machine, {}).split()[-1]
        identity = enroll(machine, ports, words[-1], token)
        assert f"Hello {words[-1]}, mutual trust established" in answers(
            ports["secure"], *identity, path="/secure"
        )
        console = answers(ports["console"], *identity[:2], path="/admin/login/")
        assert "csrfmiddlewaretoken" in console

        sessions = Service(machine, "hatchery-sessions.service")
        assert [done(command, ROOT, sessions.environment) for command in sessions.commands] == [""]

        # What stops one leaves the others.
        processes["console"].terminate()
        processes["console"].wait(timeout=30)
        assert "Hello from TLS server" in answers(ports["hello"], *identity[:2], path="/hello")
        assert not answers(ports["console"], *identity[:2], path="/admin/login/")


def test_the_shell_script_has_no_fault():
    checked = run(needs("shellcheck", package="shellcheck"), FOLDER / "hatchery-manage")
    assert checked.returncode == 0, checked.stdout.decode()
