"""A server as people write it."""

import pytest

from pki.core import targets
from pki.core.targets import TargetRefused

NAMED = {
    "door.example:8443": "door.example:8443",
    " Door.Example:8443\n": "door.example:8443",
    "10.0.0.5:443": "10.0.0.5:443",
    "[fd00::5]:8443": "[fd00::5]:8443",
    "https://door.example/a/path?x=1": "door.example:443",
    "HTTPS://door.example:8443/": "door.example:8443",
}


@pytest.mark.parametrize("text", NAMED)
def test_a_server_is_understood(text):
    assert targets.is_named(text)
    assert str(targets.parse(text)) == NAMED[text]


@pytest.mark.parametrize(
    "text",
    [
        "http://door.example/",
        "gopher://door.example:70",
        "ftp://door.example:21/x",
        "door.example:0",
        "door.example:65536",
        "door.example:443/path",
        "ada:secret@door.example:443",
        "https://ada@door.example/",
        "https://door.example/#part",
        "bücher.example:443",
        "fd00::5:",
        "-x:443",
        ":443",
        "a" * 300 + ":443",
    ],
)
def test_what_is_no_server_is_refused_in_a_sentence(text):
    with pytest.raises(TargetRefused, match=r"\.$"):
        targets.parse(text)


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_there_is_not_is_named(port):
    for text in (f"localhost:{port}", f"https://localhost:{port}/", f"[::1]:{port}"):
        with pytest.raises(TargetRefused, match=f"no port {port};"):
            targets.parse(text)


def test_what_is_written_as_host_and_port_is_not_called_a_url():
    for text in ("-x:443", ":443", "fd00::5:443", "[fd00:443"):
        with pytest.raises(TargetRefused, match="host") as refused:
            targets.parse(text)
        assert "URL" not in refused.value.detail


@pytest.mark.parametrize(
    "text", ["", "door.example", "-----BEGIN X-----\nMIIB\n", "MIIBoTCCAUegAwIBAgI=", "a b:443", "door.pem"]
)
def test_what_is_pasted_is_not_taken_for_a_server(text):
    assert not targets.is_named(text)


@pytest.mark.parametrize(
    ("text", "host"),
    [("Door.Example", "door.example"), ("::1", "::1"), ("[::1]", "::1"), ("10.0.0.5", "10.0.0.5")],
)
def test_a_name_to_look_for(text, host):
    assert targets.host(text) == host


@pytest.mark.parametrize("text", ["two words", "a/b", "a:b", "", "x@y"])
def test_what_is_no_name(text):
    with pytest.raises(TargetRefused):
        targets.host(text)
