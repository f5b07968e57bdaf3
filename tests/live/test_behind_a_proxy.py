"""The secure listener in proxy mode: curl plays the proxy, and everybody else."""

import json
from urllib.parse import quote

import pytest

from tests.clients import run
from tests.live.devices import Device
from tests.server import Server


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """A Hatchery whose secure listener is reached over plain HTTP by nginx on this machine."""
    running = Server(
        tmp_path_factory.mktemp("behind"),
        {"PORTAL_PROXIES": "nginx@127.0.0.1", "PORTAL_SECURE_PROXY": "http"},
    ).start()
    yield running
    assert running.stop() == 0, running.output()


def test_the_proxys_word_is_taken(behind, tmp_path):
    Device.enrolled(behind, tmp_path, "door-1")
    pem = (tmp_path / "door-1.pem").read_text().partition("-----END")[0] + "-----END CERTIFICATE-----\n"
    done = run(
        *("curl", "-sS", "-H", f"X-SSL-Client-Cert: {quote(pem, safe='')}"),
        f"http://127.0.0.1:{behind.ports['secure']}/secure",
    )
    assert json.loads(done.stdout)["client"] == "door-1"
