"""A disk without a byte left: what is refused, what goes on, and that it is over once there is room."""

import json
import ssl

import pytest

from tests import postgres
from tests.clients import run
from tests.live import disks
from tests.live.devices import Connection, Device
from tests.live.visitors import Visitor
from tests.server import Server, seen_within

pytestmark = postgres.not_there("this disk has SQLite's file; PostgreSQL has its own")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with disks.small(tmp_path_factory.mktemp("full") / "disk") as disk:
        server = Server(disk.folder / "var", {"WEB_CONCURRENCY": "1"})
        # What is logged goes elsewhere, as to a journal.
        server.log = tmp_path_factory.mktemp("log") / "serve.log"
        server.start()
        yield server, disk
        disk.make_room()
        assert server.stop() == 0


def readiness(server):
    done = run("curl", "-sS", "-w", "%{http_code}", server.url("status", "/readyz"))
    return done.stdout[-3:], json.loads(done.stdout[:-3])["checks"]


def test_with_a_full_disk_nothing_is_half_done_and_it_serves_again_once_there_is_room(place, tmp_path):
    server, disk = place
    known = Device.enrolled(server, tmp_path, "known")
    new = Device.made(server, tmp_path, "new")
    token = server.token("--device", "new")
    context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
    ada = Visitor(server, context)
    ada.log_in_as_administrator()
    keys = {path: path.read_bytes() for path in (server.data / "keys").iterdir()}
    disk.fill()

    # What writes is refused, with when to come again.
    body = (tmp_path / "new.csr").read_bytes()
    head = f"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    connection = Connection(server, "provisioning", context)
    answer = connection.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    connection.close()
    assert (answer.status, answer.code) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    shown = ada.form_token("/admin/")
    status, page = ada.ask("POST", "/admin/logout/", csrfmiddlewaretoken=shown)
    assert (status, "Nothing was done" in page) == (503, True)
    # What reads goes on.
    assert json.loads(known.curl().stdout)["client"] == "known"
    assert (
        run("curl", "-sS", "--cacert", server.demo / "ca.pem", server.url("hello", "/hello")).returncode == 0
    )
    # Who asks is told, and the operator what to do.
    assert seen_within(15, lambda: readiness(server)[0] == b"503")
    assert readiness(server)[1]["database"] == "failed"
    assert server.logs("The database cannot be used (database or disk is full); make room on its disk")
    done = server.manage("issue_token", "--device", "known")
    assert done.returncode == 1
    assert b"make room on its disk" in done.stderr
    # A key is written whole or not at all.
    with pytest.raises(
        RuntimeError, match=r"cannot be written .No space left on device.; make room on its disk"
    ):
        server.inside("new_issuer", "latecomer")
    assert {path: path.read_bytes() for path in (server.data / "keys").iterdir()} == keys

    disk.make_room()
    new.enroll(token)
    assert json.loads(new.curl().stdout)["client"] == "new"
    assert seen_within(15, lambda: readiness(server)[0] == b"200")
    assert ada.is_in()
    server.inside("new_issuer", "latecomer")
    # Maintenance may have come in the middle, sealed nothing, and not come again yet.
    server.maintain()
    proven = server.manage("audit", "verify").stdout
    assert proven.splitlines()[-1].startswith(b"PROVEN"), proven
    assert "Traceback" not in server.output()
    ada.connection.close()
