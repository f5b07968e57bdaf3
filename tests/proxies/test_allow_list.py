"""nginx, with the list of headers that its README has for applications that believe any name."""

import re

import pytest

from tests.proxies import fronts
from tests.proxies.conftest import served, supplied
from tests.proxies.fronts import EXAMPLES, KINDS
from tests.proxies.talk import ask, forged_identity, invented_identity

NGINX = KINDS["nginx"]


def with_the_list(text: str) -> str:
    readme = (EXAMPLES / "nginx" / "README.md").read_text()
    (block,) = re.findall(r"\*\*no other\*\*.*?```nginx\n(.*?)```", readme, re.DOTALL)
    start = "    location / {\n"
    assert start in text
    return text.replace(start, start + block)


@pytest.fixture(scope="module")
def hatchery(tmp_path_factory):
    fronts.program(NGINX)
    yield from served(tmp_path_factory.mktemp("listed"), {"PORTAL_PROXIES": "nginx@127.0.0.1"})


@pytest.fixture(scope="module")
def front(hatchery, application, tmp_path_factory):
    folder = supplied(hatchery, tmp_path_factory.mktemp("listing"))
    port = application.port
    running = fronts.start(NGINX, "ask-hatchery", folder, hatchery.ports, port, with_the_list)
    yield running
    running.stop()


def test_nothing_passes_but_what_is_listed(connect, device):
    sent = [*forged_identity("admin"), *invented_identity("admin"), ("X-Own", "admin"), ("Cookie", "a=b")]
    answer = ask(connect(device.context()), "/orders", sent, "POST", "the body")
    assert answer.status == 200
    got = dict(answer.json["headers"])
    assert (answer.json["body"], got["cookie"], got["hatchery-device"]) == ("the body", "a=b", device.name)
    assert "admin" not in str(got)
