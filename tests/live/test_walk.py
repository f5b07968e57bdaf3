"""The README's walk, as printed, with the machine's own curl and OpenSSL."""

import json

import pytest

from tests.clients import run


@pytest.fixture
def demo(server):
    return server.demo


def test_hello_answers_exactly_this_to_a_client_that_trusts_the_root(server, demo):
    answer = run("curl", "-sS", "--cacert", "ca.pem", server.url("hello", "/hello"), cwd=demo)
    assert json.loads(answer.stdout) == {
        "message": "Hello from TLS server",
        "auth": "server-only (one-way TLS)",
    }
