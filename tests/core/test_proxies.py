"""Named proxies: what a setting may say, whom it names, and whose word an X-Forwarded-For is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.core import proxies
from pki.core.forwarded import Form

NAMED = proxies.parse("nginx@10.0.0.5, traefik@10.1.0.0/24,rfc9440@fd00::5,envoy@fd01::/64")

WRONG = {
    "no form": "10.0.0.5",
    "no address": "nginx",
    "an empty address": "nginx@",
    "an empty form": "@10.0.0.5",
    "an unknown form": "apache@10.0.0.5",
    "a form in capitals": "NGINX@10.0.0.5",
    "a host name": "nginx@proxy.example",
    "a port": "nginx@10.0.0.5:80",
    "brackets": "nginx@[fd00::5]",
    "a network with bits of a host": "nginx@10.0.0.5/24",
    "a prefix that is too long": "nginx@10.0.0.0/33",
    "everybody": "nginx@0.0.0.0/0",
    "everybody in IPv6": "nginx@::/0",
    "a zone": "nginx@fe80::1%eth0",
    "IPv4 in IPv6": "nginx@::ffff:10.0.0.5",
    "nothing between commas": "nginx@10.0.0.5,,envoy@10.0.0.6",
    "one address with two forms": "nginx@10.0.0.5,envoy@10.0.0.5",
    "a network and an address in it with two forms": "nginx@10.0.0.0/24,envoy@10.0.0.5",
    "an address and a network around it with two forms": "nginx@fd00::5,envoy@fd00::/64",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_refused(text):
    with pytest.raises(ValueError, match=r"^(names|must name|gives)") as refused:
        proxies.parse(text)
    assert len(str(refused.value).splitlines()) == 1


def test_one_network_may_be_named_twice_with_the_same_form():
    assert len(proxies.parse("nginx@10.0.0.5,nginx@10.0.0.0/24")) == 2


@pytest.mark.parametrize("text", ["", "  "])
def test_no_proxy_is_the_default(text):
    assert proxies.parse(text) == ()


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("10.0.0.5", Form.NGINX),
        ("10.0.0.6", None),
        ("10.1.0.0", Form.TRAEFIK),
        ("10.1.0.255", Form.TRAEFIK),
        ("10.1.1.0", None),
        ("fd00::5", Form.RFC9440),
        ("fd00:0:0::5", Form.RFC9440),
        ("fd00::6", None),
        ("fd01::abcd", Form.ENVOY),
        # A socket bound to :: writes IPv4 so.
        ("::ffff:10.0.0.5", Form.NGINX),
        ("::ffff:10.0.0.6", None),
        ("", None),
        (None, None),
        ("nonsense", None),
    ],
)
def test_a_proxy_is_found_by_the_address_of_its_connection(address, form):
    found = proxies.find(NAMED, address)
    assert (found.form if found else None) == form


def test_a_proxy_is_written_as_it_is_named():
    assert ",".join(map(str, NAMED)) == "nginx@10.0.0.5,traefik@10.1.0.0/24,rfc9440@fd00::5,envoy@fd01::/64"


@pytest.mark.parametrize(
    ("header", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("198.51.100.1,192.0.2.7", "192.0.2.7"),
        ("nonsense, 192.0.2.7", "192.0.2.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("192.0.2.7, nonsense", None),
        ("192.0.2.7,", None),
        ("192.0.2.7, unknown", None),
        ("192.0.2.7:1234", None),
        ("'; DROP TABLE pki_device; --", None),
        ("", None),
    ],
)
def test_the_clients_address_is_the_last_that_the_proxy_added(header, address):
    assert proxies.client_address(header) == address


@given(st.text())
def test_any_x_forwarded_for_gives_an_address_or_none(header):
    found = proxies.client_address(header)
    assert found is None or str(proxies.read_address(found)) == found
