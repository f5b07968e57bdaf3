"""A Hatchery and a proxy of each kind, one pair at a time."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.clients import run
from tests.live.devices import Device
from tests.proxies import application as applications
from tests.proxies import fronts
from tests.proxies.fronts import KINDS, Front
from tests.server import Server

HOSTNAMES = {"PORTAL_HOSTNAMES": "localhost,127.0.0.1,hatchery.example"}
PROXY = "proxy-1"  # the device whose certificate a proxy shows for itself


@pytest.fixture(scope="session", params=list(KINDS))
def kind(request) -> fronts.Kind:
    found = KINDS[request.param]
    fronts.program(found)  # skips before a Hatchery is started
    return found


@pytest.fixture(scope="session")
def application() -> Iterator[applications.Application]:
    with applications.running() as running:
        yield running


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    """Connections that end with the test."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def asked(kind, tmp_path_factory) -> Iterator[Server]:
    """A Hatchery that answers the proxy's questions."""
    yield from served(tmp_path_factory.mktemp("asked"), {"PORTAL_PROXIES": f"{kind.form}@127.0.0.1"})


@pytest.fixture(scope="module")
def behind(kind, tmp_path_factory) -> Iterator[Server]:
    """A Hatchery whose secure listener is reached through the proxy alone, over mutual TLS."""
    settings = {
        "PORTAL_PROXIES": f"{kind.form}@127.0.0.1",
        "PORTAL_SECURE_PROXY": "mutual",
        "PORTAL_PROXY_DEVICES": PROXY,
    }
    yield from served(tmp_path_factory.mktemp("behind"), settings)


@pytest.fixture(scope="module")
def enroll_asked(asked) -> Callable[[Path], Device]:
    return enroller(asked)


@pytest.fixture(scope="module")
def enroll_behind(behind) -> Callable[[Path], Device]:
    return enroller(behind)


@pytest.fixture(scope="module")
def asking(kind, asked, application, tmp_path_factory) -> Iterator[Front]:
    """The proxy in front of the application, asking Hatchery."""
    folder = supplied(asked, tmp_path_factory.mktemp("asking"))
    yield from _run(kind, "ask-hatchery", folder, asked, application.port)


@pytest.fixture(scope="module")
def forwarding(kind, behind, tmp_path_factory) -> Iterator[Front]:
    """The proxy in front of Hatchery."""
    folder = supplied(behind, tmp_path_factory.mktemp("forwarding"))
    yield from _run(kind, "hatchery-behind", folder, behind, 0)


def enroller(server: Server) -> Callable[[Path], Device]:
    """Enrolls a new device, whose files go into a folder. One token serves all: the shell takes seconds."""
    token = server.token("--pattern", "device-*", "--uses", "1000")
    numbers = itertools.count(1)

    def enroll(folder: Path) -> Device:
        device = Device.made(server, folder, f"device-{next(numbers)}")
        device.enroll(token)
        return device

    return enroll


def supplied(server: Server, folder: Path) -> Path:
    """A folder with what the examples have in /etc/hatchery."""
    for name in ("all.pem", "bundle.pem"):
        done = run("curl", "-sSf", "-o", folder / name, server.url("status", f"/ca/{name}"))
        assert done.returncode == 0, done.stderr
    certificate, key = server.inside("sign_a_server", "localhost").split("#")
    (folder / "server.pem").write_text(certificate)
    (folder / "server.key").write_text(key)
    Device.enrolled(server, folder, PROXY)
    for source, target in (("server", "server"), (PROXY, "proxy")):
        pem, key = ((folder / f"{source}.{kind}").read_text() for kind in ("pem", "key"))
        (folder / f"{target}.pem").write_text(pem)
        (folder / f"{target}.key").write_text(key)
        (folder / f"{target}-both.pem").write_text(pem + key)
    return folder


def served(folder: Path, settings: dict[str, str]) -> Iterator[Server]:
    """A Hatchery with these settings, stopped in the end."""
    running = Server(folder, HOSTNAMES | settings).start()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.output()


def _run(kind: fronts.Kind, example: str, folder: Path, server: Server, application: int) -> Iterator[Front]:
    front = fronts.start(kind, example, folder, server.ports, application)
    yield front
    front.stop()
