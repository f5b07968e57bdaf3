"""One Hatchery for all examples, which leave it as they found it but for the devices that they enroll."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.clients import needs
from tests.examples.folders import PROGRAMS, Example
from tests.examples.recorder import Recorder, recording
from tests.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("examples")).start()
    yield running
    assert running.stop() == 0, running.output()


@pytest.fixture(scope="session")
def typed(server, tmp_path_factory) -> Callable[[str], Example]:
    """An example whose README was typed along, once for all tests."""

    @cache
    def along(name: str) -> Example:
        for program, package in PROGRAMS[name].items():
            needs(program, package=package)
        example = Example(name, server, tmp_path_factory.mktemp(name))
        example.type_along()
        return example

    return along


@pytest.fixture(params=list(PROGRAMS))
def example(request, typed, tmp_path) -> Example:
    """A copy of such a folder, to spoil."""
    return typed(request.param).copied(tmp_path)


def serve_as_localhost(server: Server, pair: Path) -> None:
    """Write a new key, and a good certificate of it for `localhost`, into a PEM file."""
    certificate, key = server.inside("sign_a_server", "localhost").split("#\n")
    pair.write_text(certificate + key)


@pytest.fixture(scope="session")
def recorder(server, tmp_path_factory) -> Iterator[Recorder]:
    """A server with a good certificate for `localhost`, which remembers what it is sent."""
    pair = tmp_path_factory.mktemp("recorder") / "pair.pem"
    serve_as_localhost(server, pair)
    with recording(pair, server.demo / "ca-chain.pem") as running:
        yield running
