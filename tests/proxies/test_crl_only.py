"""nginx and HAProxy with a CRL that `examples/crl/fetch-crl` keeps fresh; Hatchery is not asked."""

import itertools
import ssl
import time

import pytest

from tests.clients import needs, run
from tests.docs.blocks import block, commands
from tests.live.devices import Device
from tests.proxies import fronts
from tests.proxies.conftest import running, served, supplied
from tests.proxies.fronts import EXAMPLES, KINDS
from tests.proxies.talk import (
    FORMS,
    ask,
    certificate_of,
    forged_identity,
    in_every_writing,
    invented_identity,
    is_refused,
    without_certificate,
)

APP = "443"
FETCH = EXAMPLES / "crl" / "fetch-crl"
WITHIN = 30.0  # seconds, generous: Hatchery makes a list anew, and the proxy starts a new process
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def hatchery(tmp_path_factory):
    yield from served(tmp_path_factory.mktemp("listing"), {})


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def front(request, hatchery, application, tmp_path_factory):
    kind = KINDS[request.param]
    fronts.program(kind)
    folder = supplied(hatchery, tmp_path_factory.mktemp(request.param))
    assert fetch(hatchery, folder, "true").returncode == 0
    yield from running(kind, "crl-only", folder, hatchery, application.port)


def fetch(server, folder, *command):
    """Run the script as its timer would."""
    return run(FETCH, server.url("status", "/crl/all.pem"), folder / "all.pem", folder / "crl.pem", *command)


def comes_true(server, front, wanted) -> bool:
    """Whether something becomes true while the script runs again and again."""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        done = fetch(server, front.folder, *front.reloaded_by)
        assert done.returncode == 0, done.stderr
        if wanted():
            return True
        time.sleep(0.5)
    return False


def test_a_good_device_passes_and_the_application_sees_its_certificates_names(connect, device):
    answer = connect(device.context()).get("/")
    assert answer.status == 200
    headers = dict(answer.json["headers"])
    assert f"CN={device.name}" in headers["client-subject"]
    assert int(headers["client-serial"], 16) == certificate_of(device).serial_number


def test_a_forged_identity_never_reaches_the_application(front, connect, device):
    """Under no name that applications are told by one example or another."""
    forged = forged_identity("admin")
    for name in ("Client-Subject", "Client-Serial", *FORMS):
        forged += in_every_writing({name: "CN=admin"})
    if front.kind.form == "haproxy":  # nginx cannot remove what it has not been told of
        forged += invented_identity("admin")
    answer = ask(connect(device.context()), "/", forged)
    assert answer.status == 200
    headers = answer.json["headers"]
    assert len([name for name, _ in headers if name.replace("_", "-") == "client-subject"]) == 1
    assert not [name for name, _ in headers if name.startswith(("hatchery", "x-ssl", "x-forwarded-c"))]
    assert "admin" not in str(headers)


def test_without_a_certificate_nobody_passes(front, device):
    assert is_refused(front, APP, without_certificate(device))


def test_a_revoked_device_is_refused_once_the_script_has_run_and_others_are_not(
    front, hatchery, device, enroll, tmp_path
):
    other = enroll(tmp_path)
    assert not is_refused(front, APP, device.context())
    hatchery.revoke(device.name)
    assert comes_true(hatchery, front, lambda: is_refused(front, APP, device.context()))
    assert not is_refused(front, APP, other.context())


def test_a_held_device_is_refused_until_the_hold_is_lifted(front, hatchery, device):
    hatchery.revoke(device.name, "certificateHold")
    assert comes_true(hatchery, front, lambda: is_refused(front, APP, device.context()))
    hatchery.inside("lift_hold", device.name)
    assert comes_true(hatchery, front, lambda: not is_refused(front, APP, device.context()))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_session_is_resumed_past_the_list(connect, device, version):
    context = device.context(version=version)
    first = connect(context)
    assert first.get("/").status == 200
    again = connect(context, first.tls.session)
    assert again.get("/").status == 200
    assert not again.tls.session_reused


def test_an_expired_certificate_does_not_pass(front, hatchery, tmp_path):
    device = Device.made(hatchery, tmp_path, f"sleeper-{next(NUMBERS)}")
    csr = (tmp_path / f"{device.name}.csr").read_bytes()
    expired = hatchery.inside("issue_in_the_past", device.name, "31", stdin=csr)
    (tmp_path / f"{device.name}.pem").write_text(expired)
    assert is_refused(front, APP, device.context())


@pytest.mark.parametrize("front", ["haproxy"], indirect=True)
def test_haproxy_takes_a_list_through_its_socket_without_a_reload(front, hatchery, device):
    """As the README says, while the list is small."""
    hatchery.revoke(device.name)

    def told() -> bool:
        set_list(front)
        return is_refused(front, APP, device.context())

    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        assert fetch(hatchery, front.folder, "true").returncode == 0
        if told():
            return
        time.sleep(0.5)
    raise AssertionError("the revoked device still passes")


def set_list(front) -> None:
    """The README's lines."""
    needs("socat", package="socat")
    lines = block("examples/haproxy/README.md", "printf")
    for line in commands(lines.replace("/etc/hatchery/", f"{front.folder}/")):
        said = run("sh", "-c", line.replace("/run/haproxy/", f"{front.folder}/"), cwd=front.folder).stdout
        assert b"Success" in said or b"transaction" in said, said
