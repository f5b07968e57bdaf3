"""A server does the periodic work by itself."""

import json

import pytest

from tests.server import Server, seen_within
from tests.services.receivers import Receiver


@pytest.fixture
def installation(tmp_path):
    made = Server(tmp_path, {"PORTAL_WEBHOOK_NETWORKS": "127.0.0.1"})
    made.copy_tables()
    yield made
    if made.process is not None and made.process.poll() is None:
        assert made.stop() == 0, made.output()


def test_what_is_to_be_told_is_told_once_however_many_workers_there_are(installation):
    with Receiver().listening() as receiver:
        installation.inside("tell", receiver.url())
        installation.start()
        assert seen_within(30, lambda: receiver.posts)
        assert json.loads(receiver.posts[0].body)["data"]["summary"] == "Something happened."
        assert "maintenance" not in installation.output().lower()
        assert len(receiver.posts) == 1
