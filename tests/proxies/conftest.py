"""A Hatchery and a proxy of each kind, one pair at a time."""

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.clients import run
from tests.live.devices import Connection, Device
from tests.proxies import application as applications
from tests.proxies import fronts, impostor
from tests.proxies.fronts import EXAMPLES, KINDS, Front
from tests.server import Server

HOSTNAMES = {"PORTAL_HOSTNAMES": "localhost,127.0.0.1,hatchery.example"}
FETCH_CAS = EXAMPLES / "fetch-cas"
PROXY = "proxy-1"  # the device whose certificate a proxy shows for itself


@pytest.fixture(scope="session", params=list(KINDS))
def kind(request) -> fronts.Kind:
    found = KINDS[request.param]
    fronts.program(found)  # skips before a Hatchery is started
    return found


@pytest.fixture(scope="session")
def application() -> Iterator[applications.Application]:
    with applications.running() as echo:
        yield echo


@pytest.fixture
def status() -> Iterator[impostor.Status]:
    """What a status listener might answer on a bad day."""
    with impostor.answering() as running:
        yield running


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    """Connections that end with the test."""
    with ExitStack() as stack:
        yield stack


# A module that uses these fixtures has its own `hatchery`, and its own `front`: a proxy before it.


@pytest.fixture(scope="module")
def enroll(hatchery) -> Callable[[Path], Device]:
    return enroller(hatchery)


@pytest.fixture
def device(enroll, tmp_path) -> Device:
    return enroll(tmp_path)


@pytest.fixture(scope="module")
def other(enroll, tmp_path_factory) -> Device:
    """A good device whose certificate others try to use."""
    return enroll(tmp_path_factory.mktemp("other"))


@pytest.fixture(scope="module")
def revoked(hatchery, enroll, tmp_path_factory) -> Device:
    device = enroll(tmp_path_factory.mktemp("revoked"))
    hatchery.revoke(device.name)
    return device


@pytest.fixture
def connect(front, connections) -> Callable[..., Connection]:
    """How a client connects to the proxy: with a TLS context, and a session to resume if it has one."""
    return lambda context, session=None: connections.enter_context(
        closing(Connection(front, front.main, context, session))
    )


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
    root = x509.load_pem_x509_certificate((server.demo / "ca.pem").read_bytes())
    done = run(FETCH_CAS, server.url("status", ""), folder, root.fingerprint(hashes.SHA256()).hex())
    assert done.returncode == 0, done.stderr
    certificate, key = server.inside("sign_a_server", "localhost").split("#")
    (folder / "server.pem").write_text(certificate)
    (folder / "server.key").write_text(key)
    Device.enrolled(server, folder, PROXY)
    for source, target in (("server", "server"), (PROXY, "proxy")):
        pem, key = ((folder / f"{source}.{kind}").read_text() for kind in ("pem", "key"))
        (folder / f"{target}.pem").write_text(pem)
        (folder / f"{target}.key").write_text(key)
    (in_one_file,) = re.findall(r"^\(umask.*$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert run("sh", "-c", in_one_file, cwd=folder).returncode == 0
    return folder


def served(folder: Path, settings: dict[str, str]) -> Iterator[Server]:
    """A Hatchery with these settings, stopped in the end."""
    server = Server(folder, HOSTNAMES | settings).start()
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.output()


def running(
    kind: fronts.Kind, example: str, folder: Path, server: Server, application: int
) -> Iterator[Front]:
    """A proxy from an example, stopped in the end."""
    front = fronts.start(kind, example, folder, server.ports, application)
    yield front
    front.stop()
