"""Where webhooks may lead: an address is named without tricks, and is a public one or allowed."""

import pytest

from pki.core import destinations
from pki.core.destinations import DestinationRefused

INTERNAL = destinations.networks("10.1.0.0/16, fd00::/8,127.0.0.1")


@pytest.mark.parametrize(
    ("url", "authority", "target"),
    [
        ("https://hooks.example/a/b?c=d", "hooks.example", "/a/b?c=d"),
        ("https://Hooks.Example", "hooks.example", "/"),
        ("https://hooks.example:443/", "hooks.example", "/"),
        ("https://hooks.example:8443/", "hooks.example:8443", "/"),
        ("http://10.1.2.3:8080/x", "10.1.2.3:8080", "/x"),
        ("https://[fd00::5]/x", "[fd00::5]", "/x"),
        ("https://[fd00::5]:8443/x", "[fd00::5]:8443", "/x"),
        ("https://hooks.example?q", "hooks.example", "/?q"),
    ],
)
def test_a_url_is_taken_apart(url, authority, target):
    destination = destinations.parse(url)
    assert (destination.authority, destination.target) == (authority, target)
    assert url.lower().startswith(f"{destination.scheme}://")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example/x",
        "//hooks.example/x",
        "ftp://hooks.example/x",
        "file:///etc/passwd",
        "gopher://hooks.example/",
        "https://",
        "https:///x",
        "https://user@hooks.example/",
        "https://user:secret@hooks.example/",
        "https://@hooks.example/",
        "https://hooks.example#@10.0.0.1/",
        "https://hooks.example\\@10.0.0.1/",
        "https://hooks.example/a b",
        "https://hooks.example/\r\nX: y",
        "https://hooks.example/\x00",
        "https://hööks.example/",
        "https://hooks.example:0/",
        "https://hooks.example:65536/",
        "https://hooks.example:x/",
        "https://hooks..example/",
        "https://-hooks.example/",
        "https://*.example/",
        "https://hooks.example./",
        "https://[fe80::1%25eth0]/",
        "https://[::1/",
        "https://hooks.example/" + "x" * 500,
    ],
)
def test_a_url_with_two_readings_or_none_is_refused(url):
    with pytest.raises(DestinationRefused):
        destinations.parse(url)


def test_a_refusal_does_not_repeat_a_password():
    with pytest.raises(DestinationRefused) as refused:
        destinations.parse("https://user:secret@hooks.example/")
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_may_be_reached(address):
    assert destinations.may_be_reached(address, ())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.9",
        "0.0.0.0",  # noqa: S104  an address to refuse
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",  # metadata of clouds
        "192.0.0.9",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "::127.0.0.1",  # RFC 4291 2.5.5.1
        "::8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",  # metadata of a cloud
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "no address",
        "",
    ],
)
def test_any_other_address_may_not_be_reached(address):
    assert not destinations.may_be_reached(address, ())


@pytest.mark.parametrize(
    "address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::a01:203", "fd12::1", "127.0.0.1", "8.8.8.8"]
)
def test_a_network_that_is_allowed_may_be_reached(address):
    assert destinations.may_be_reached(address, INTERNAL)


@pytest.mark.parametrize("address", ["10.2.0.1", "127.0.0.2", "::1", "fe80::1", "169.254.169.254"])
def test_it_allows_no_other(address):
    assert not destinations.may_be_reached(address, INTERNAL)


def test_a_public_address_is_not_one_that_was_allowed():
    assert destinations.is_allowed("10.1.2.3", INTERNAL)
    assert not destinations.is_allowed("8.8.8.8", INTERNAL)


@pytest.mark.parametrize("text", ["10.1.2.3/16", "everybody", "10.0.0.0/8;fd00::/8", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match="names"):
        destinations.networks(text)


def test_no_network_is_none():
    assert destinations.networks("") == destinations.networks(" , ") == ()
