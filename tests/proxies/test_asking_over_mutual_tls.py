"""Asking Hatchery over a network that is not one's own: what each README says to change for it."""

import re
import stat
from contextlib import closing

import pytest

from tests.clients import run
from tests.live.devices import Connection
from tests.proxies import fronts
from tests.proxies.conftest import PROXY, enroller, served, supplied
from tests.proxies.fronts import EXAMPLES
from tests.proxies.talk import forwarded

SOCKET = "/var/lib/haproxy/hatchery.sock"
PLAIN, MUTUAL = "hatchery.example:8080", "hatchery.example:8444"


def block(form: str, language: str) -> str:
    """The block of a README that says what to change."""
    readme = (EXAMPLES / form / "README.md").read_text()
    (found,) = re.findall(rf"Elsewhere ask.*?```{language}\n(.*?)```", readme, re.DOTALL)
    return found


def replaced(text: str, old: str, new: str) -> str:
    assert old in text or "ask-hatchery" not in text, old
    return text.replace(old, new)


def nginx(text: str) -> str:
    text = replaced(text, PLAIN, MUTUAL)
    return replaced(text, "        proxy_pass http://hatchery_ask/authorize;\n", block("nginx", "nginx"))


def haproxy(text: str) -> str:
    if "defaults" not in text:
        return text  # the Lua script
    (setting,) = re.findall(r"`(setenv HATCHERY_VIA \S+)`", (EXAMPLES / "haproxy" / "README.md").read_text())
    text = replaced(text, "    lua-load", f"    {setting}\n    lua-load") + block("haproxy", "haproxy")
    # Without a chroot and another user, which are for root to set.
    return text.replace("@/hatchery.sock", f"@{SOCKET}").replace(f"{SOCKET} user haproxy", SOCKET)


def traefik(text: str) -> str:
    return text.replace(f"        address: http://{PLAIN}/authorize\n", block("traefik", "yaml"))


def envoy(text: str) -> str:
    behind = (
        (EXAMPLES / "envoy" / "hatchery-behind.yaml").read_text().partition("- name: hatchery_secure\n")[2]
    )
    socket = re.search(r"      transport_socket:\n.*?(?=      load_assignment)", behind, re.DOTALL)[0]
    start = "    - name: hatchery  # the status listener\n"
    text = replaced(text, start, start + socket)
    return replaced(text, "hatchery.example, port_value: 8080", "hatchery.example, port_value: 8444")


EDITS = {"nginx": nginx, "haproxy": haproxy, "traefik": traefik, "envoy": envoy}


@pytest.fixture(scope="module")
def hatchery(kind, tmp_path_factory):
    settings = {"PORTAL_PROXIES": f"{kind.form}@127.0.0.1", "PORTAL_PROXY_DEVICES": PROXY}
    yield from served(tmp_path_factory.mktemp("mutual"), settings)


def ways(front):
    """Sockets by which the proxy speaks to itself, and by them to Hatchery."""
    assert list(front.ports) == ["443"], "it has no port for that, which any user of its machine could use"
    return [path for path in front.folder.iterdir() if path.is_socket()]


def assert_is_nobody_elses(way, kind, device):
    """Who speaks to it speaks as the proxy."""
    assert stat.S_IMODE(way.stat().st_mode) == 0o600
    ask = ("curl", "-sS", "-H", f"{kind.header}: {forwarded(device)[kind.header]}", "--unix-socket", way)
    for path in ("secure", "whoami"):
        done = run(*ask, f"http://localhost/{path}")
        assert b"403" in done.stdout
        assert device.name.encode() not in done.stdout


def test_a_proxy_that_shows_its_own_certificate_is_answered(
    kind, hatchery, application, tmp_path, connections
):
    device = enroller(hatchery)(tmp_path)
    folder = supplied(hatchery, tmp_path)
    front = fronts.start(kind, "ask-hatchery", folder, hatchery.ports, application.port, EDITS[kind.form])
    connections.callback(front.stop)
    connection = connections.enter_context(closing(Connection(front, "443", device.context())))
    answer = connection.get("/")
    assert answer.status == 200, answer
    assert ["hatchery-device", device.name] in answer.json["headers"]
    assert [path.name for path in ways(front)] == (["hatchery.sock"] if kind.form == "haproxy" else [])
    for way in ways(front):
        assert_is_nobody_elses(way, kind, device)

    hatchery.revoke(device.name)
    assert connection.get("/").headers["hatchery-reason"] == "certificate_revoked"

    hatchery.revoke(PROXY)
    refused = connection.get("/")
    assert refused.status in (403, 500, 503), "a proxy whose own certificate is revoked is not answered"
    assert "proxy_unknown" in (refused.headers.get("hatchery-reason", "proxy_unknown"))
