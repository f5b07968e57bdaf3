"""docs/topologies.md, as written, with one root and with two; no side's certificate is the other's."""

import re
import subprocess

import pytest

from tests.clients import run
from tests.live.devices import Device
from tests.live.pages import page, walk
from tests.server import Server, free_ports, seen_within

PAGE = page("topologies.md")
NOT_TRUSTED, RECEIVE_FAILED = 60, 56  # curl
TOPOLOGIES = ["one", "two"]
SECTIONS = {"one": ("In both", "One root"), "two": ("In both", "Two roots")}


@pytest.fixture(scope="module", params=TOPOLOGIES)
def topology(request):
    return request.param


@pytest.fixture(scope="module")
def built(topology, tmp_path_factory):
    """What the first run makes in this topology."""
    running = Server(tmp_path_factory.mktemp(topology), {"PORTAL_TOPOLOGY": topology}).start()
    yield running
    assert running.stop() == 0, running.output()


def section(title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M)[1]


def test_the_page_prints_what_it_says(built, topology):
    for title in SECTIONS[topology]:
        walk(built, section(title))


def test_a_servers_certificate_is_no_clients(built, topology, tmp_path):
    certificate, key = built.inside("sign_a_server", "a-server").split("#")
    (tmp_path / "a-server.pem").write_text(certificate)
    (tmp_path / "a-server.key").write_text(key)
    assert Device("a-server", built, tmp_path).curl().returncode == RECEIVE_FAILED
    assert built.logs('"reason": "wrong_purpose"' if topology == "one" else '"reason": "unknown_issuer"')


@pytest.mark.parametrize("trusting", ["ca.pem", "ca-chain.pem"])
def test_a_clients_certificate_is_no_servers(built, trusting):
    """Whichever root the visitor trusts; in front of a name that the certificate has, too."""
    (port,) = free_ports(1)
    impostor = subprocess.Popen(
        ["openssl", "s_server", "-accept", str(port), "-cert", "client.pem", "-key", "client.key", "-www"],
        cwd=built.demo,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        name = f"demo-iphone:{port}"
        words = ("curl", "-sS", "--cacert", trusting, "--connect-to", f"{name}:127.0.0.1:{port}")
        refused = lambda: run(*words, f"https://{name}/", cwd=built.demo).returncode == NOT_TRUSTED  # noqa: E731
        assert seen_within(20.0, refused)
    finally:
        impostor.kill()
        impostor.wait(timeout=20)


def test_the_setting_changes_nothing_where_there_is_an_installation(built, topology):
    (other,) = set(TOPOLOGIES) - {topology}
    before = (built.demo / "ca.pem").read_bytes()
    otherwise = Server(built.data, {"PORTAL_TOPOLOGY": other})
    otherwise.ports = built.ports
    done = otherwise.manage("bootstrap", "--no-demo")
    assert (done.returncode, done.stdout) == (0, b"Everything is there already.\n"), done.stderr
    assert (built.demo / "ca.pem").read_bytes() == before


@pytest.fixture
def own(tmp_path):
    """A server of a test's own: what it shows is another root's afterwards."""
    running = Server(tmp_path / "var").start()
    yield running
    assert running.stop() == 0, running.output()


def follow_the_bundle(server, folder):
    """docs/rollover.md, "What a device does", word for word but for the address."""
    block = page("rollover.md").split("### What a device does")[1].split("```sh\n")[1].split("```")[0]
    lines = block.replace("https://hatchery.example:8445", server.url("provisioning", ""))
    assert lines != block
    return run("sh", "-c", lines, cwd=folder)


def test_the_servers_move_to_a_new_root_without_a_restart(own, tmp_path):
    """As the page says, in its last part: devices that know the old root alone fetch the new one first."""
    device = Device.enrolled(own, tmp_path, "witness")
    root = own.inside("new_root", "Later Root CA", "Later Issuing CA")
    (tmp_path / "ca.pem").write_bytes((own.demo / "ca.pem").read_bytes())
    assert follow_the_bundle(own, tmp_path).returncode == 0
    assert root.strip() not in (tmp_path / "ca.pem").read_text(), "nobody has published it"
    assert own.inside("give_servers", "Later Issuing CA").strip() == "root_not_published"
    own.inside("publish_root", "Later Root CA")
    own.maintain()  # as the workers do within a minute
    assert follow_the_bundle(own, tmp_path).returncode == 0
    (tmp_path / "both.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    assert root.strip() in (tmp_path / "both.pem").read_text()
    (tmp_path / "new.pem").write_text(root)
    open_already = device.connect()
    assert own.inside("give_servers", "Later Issuing CA").strip() == ""

    def shows(trusted: str, path: str = "/hello", *more: str) -> bool:
        words = ("curl", "-sS", "--cacert", tmp_path / trusted, *more)
        listener = "secure" if more else "hello"
        assert open_already.get("/secure").status == 200, "it goes on"
        done = [run(*words, own.url(listener, path), cwd=tmp_path).returncode for _ in range(8)]
        assert trusted != "both.pem" or set(done) == {0}, "who knows both roots is always served"
        return set(done) == {0}

    shown = ("--cert", "witness.pem", "--key", "witness.key")
    assert shows("both.pem")
    assert shows("both.pem", "/secure", *shown)
    own.maintain()
    assert seen_within(90.0, lambda: shows("both.pem") and shows("new.pem"))
    assert shows("both.pem", "/secure", *shown)
    assert shows("new.pem", "/secure", *shown)
    assert follow_the_bundle(own, tmp_path).returncode == 0
    device.close()
