"""An administrator's day: register, hand out a token, see it arrive, approve, revoke; curl is the device."""

import re

from pki.models import Certificate, Device, EnrollmentRequest
from tests.browser.accessibility import grave_violations
from tests.live.devices import Device as Gadget

HANDSHAKE_REFUSED = 56  # curl: the server ended the handshake


def test_a_device_is_registered_enrolled_seen_and_revoked(visit, server, tmp_path):
    ada = visit(None)
    ada.open("/admin/")
    ada.log_in("admin", visit.passwords["admin"])

    ada.open_list(Device)
    ada.follow(re.compile("^Register( a device)?$|^Add", re.I))
    ada.page.get_by_role("textbox", name=re.compile("^Name")).fill("lobby-1")
    ada.page.get_by_role("combobox", name=re.compile("^Profile")).select_option(label="device")
    ada.press(re.compile("^(Save|Register)$"))
    ada.leaves("/add/")
    ada.open_list(Device, "lobby-1")
    ada.follow("lobby-1")
    ada.follow("New token")
    ada.press("Make the token")
    token = ada.shown_token()
    assert grave_violations(ada.page) == []

    lobby = Gadget.made(server, tmp_path, "lobby-1")
    lobby.enroll(token)
    assert lobby.curl().returncode == 0

    ada.open_list(Certificate, "lobby-1")
    ada.follow("lobby-1")
    ada.sees("valid")
    ada.open_list(Certificate, "lobby-1")
    ada.act("^Revoke", "lobby-1")
    ada.page.get_by_role("radio", name=re.compile("^keyCompromise")).check()
    ada.press(re.compile("^Revoke"))
    ada.sees("Revoked 1 certificate")
    assert lobby.curl().returncode == HANDSHAKE_REFUSED


def test_what_waits_is_approved_from_the_inbox_and_the_device_gets_its_certificate(visit, server, tmp_path):
    porch = Gadget.made(server, tmp_path, "porch-1")
    assert porch.ask().stdout == b"202"

    olga = visit("olga")
    olga.open_list(EnrollmentRequest, "porch-1")
    olga.act("^Approve", "porch-1")
    olga.press(re.compile("^Approve"))
    olga.sees("Approved 1 request")

    porch.enroll()
    assert porch.curl().returncode == 0


def test_what_is_rejected_tells_the_device_why(visit, server, tmp_path):
    shed = Gadget.made(server, tmp_path, "shed-1")
    assert shed.ask().stdout == b"202"

    olga = visit("olga")
    olga.open_list(EnrollmentRequest, "shed-1")
    olga.act("^Reject", "shed-1")
    olga.page.get_by_role("textbox", name=re.compile("^Message")).fill("This shed has a door already.")
    olga.press(re.compile("^Reject"))
    olga.sees("Rejected 1 request")

    shed.ask()
    assert b"This shed has a door already." in (tmp_path / "shed-1.pem").read_bytes()
