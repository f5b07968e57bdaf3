"""Second thoughts, as a device meets them: a hold that is lifted, a refusal that is allowed."""

import json

import pytest

from tests.clients import run
from tests.live.devices import Device


def post(server, device, *more):
    """Send the device's CSR with curl; the HTTP status and the body."""
    done = run(
        *("curl", "-sS", "--cacert", server.demo / "ca.pem", "--data-binary", f"@{device.name}.csr"),
        *(*more, "-w", "\n%{http_code}", server.url("provisioning", "/sign-csr")),
        cwd=device.folder,
    )
    assert done.returncode == 0, done
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def test_a_certificate_on_hold_is_refused_until_the_hold_is_lifted(server, tmp_path):
    device = Device.enrolled(server, tmp_path, "held-1")
    connection = device.connect()
    assert connection.get("/secure").status == 200
    server.revoke(device.name, "certificateHold")
    assert connection.get("/secure").code == "certificate_revoked"
    assert device.curl().returncode == 56, "it is refused in the handshake"
    server.inside("lift_hold", device.name)
    assert connection.get("/secure").status == 200
    assert json.loads(device.curl().stdout)["client"] == device.name
    device.close()


@pytest.mark.parametrize("sent", [(), ("-H", "Authorization: Bearer hatch_wrong")], ids=["none", "wrong"])
def test_who_was_refused_and_then_allowed_sends_the_same_csr_and_gets_in(server, tmp_path, sent):
    device = Device.made(server, tmp_path, f"allowed-{len(sent)}")
    status, body = post(server, device, *sent)
    assert status == 401
    assert json.loads(body)["code"] in ("token_missing", "token_invalid")
    server.inside("allow_once", device.name)
    status, body = post(server, device, *sent)
    assert status == 200, body
    (tmp_path / f"{device.name}.pem").write_bytes(body)
    assert json.loads(device.curl().stdout)["client"] == device.name
    assert post(server, device) == (200, body), "and again, if the answer was lost"

    server.revoke(device.name, "superseded")
    assert post(server, device)[0] == 401, "never after it was revoked"
    assert device.curl().returncode == 56
