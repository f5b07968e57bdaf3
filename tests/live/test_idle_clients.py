"""Connections that are kept alive, more than there is room for: they go, and whoever is new comes in."""

import contextlib
import json
import socket
import ssl

import pytest

from portal import start
from tests import postgres
from tests.clients import run
from tests.live.devices import Connection
from tests.server import Server

ROOM = 40  # connections that the worker may hold
KEPT = 30  # of which idle ones stay

pytestmark = postgres.not_there("nothing of this is the database's")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    made = Server(folder, {"WEB_CONCURRENCY": "1"}, files=ROOM + start.DESCRIPTORS_BESIDES).start()
    yield made
    assert made.stop() == 0


@pytest.fixture
def context(small):
    return ssl.create_default_context(cafile=str(small.demo / "ca.pem"))


@pytest.fixture
def until_then():
    """What is closed in the end."""
    with contextlib.ExitStack() as stack:
        yield lambda each: stack.enter_context(contextlib.closing(each))


def alive(connection):
    """Whether a connection that is kept alive gives another answer."""
    try:
        return connection.get("/hello").status == 200
    except (ConnectionError, ssl.SSLError):
        return False


def test_idle_connections_keep_nobody_out_at_any_listener(small, context, until_then):
    idle = []
    for _ in range(ROOM + 10):
        idle.append(until_then(Connection(small, "hello", context)))
        idle[-1].tls.settimeout(5)  # less than idle connections are kept for
        assert idle[-1].get("/hello").status == 200
    done = run("curl", "-sS", "--max-time", "5", small.url("status", "/healthz"))
    assert json.loads(done.stdout) == {"status": "ok"}
    kept = [alive(each) for each in idle]
    # First those that were idle for longest.
    assert kept == sorted(kept)
    assert KEPT - 5 <= sum(kept) <= KEPT


def test_while_it_is_crowded_answers_say_that_the_connection_ends(small, context, until_then):
    first = until_then(Connection(small, "hello", context))
    assert "close" not in first.get("/hello").headers.get("connection", "")
    for _ in range(KEPT):
        until_then(socket.create_connection(("127.0.0.1", small.ports["hello"])))
    crowded = until_then(Connection(small, "hello", context))
    assert crowded.get("/hello").headers["connection"] == "close"
    assert crowded.ended()
