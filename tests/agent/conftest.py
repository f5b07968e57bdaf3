"""One Hatchery for all agents that leave it as they found it."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.agent.agents import Agent
from tests.clients import needs
from tests.server import Server

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session", autouse=True)
def _programs() -> None:
    for program in ("curl", "openssl"):
        needs(program, package=program)
    needs("flock", package="util-linux")


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("agents")).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="session")
def token(server) -> str:
    """One for all: the shell takes seconds."""
    return server.token("--pattern", "agent-*", "--uses", "1000")


def settings_for(server: Server) -> dict[str, str]:
    root = x509.load_pem_x509_certificate((server.demo / "ca.pem").read_bytes())
    return {
        "url": server.url("secure", ""),
        "enroll_url": server.url("provisioning", ""),
        "ca_url": server.url("status", "/ca/bundle.pem"),
        "ca_sha256": root.fingerprint(hashes.SHA256()).hex(),
    }


@pytest.fixture
def new_agent(server, token, tmp_path) -> Callable[..., Agent]:
    """A device with a token in a file, not enrolled yet."""

    def make(home: Path = tmp_path) -> Agent:
        (home / "token").write_text(f"{token}\n")
        settings = {**settings_for(server), "token_file": str(home / "token")}
        return Agent(home, f"agent-{next(NUMBERS)}-{home.parent.parent.name[-8:].strip('-_')}", settings)

    return make


@pytest.fixture
def agent(new_agent) -> Agent:
    """An enrolled device."""
    made = new_agent()
    done = made.run()
    assert done.returncode == 0, done.stderr
    return made
