"""Named proxies: what a setting may say, whom it names, and whose word an X-Forwarded-For is."""

import re

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
    "half of everybody": "nginx@128.0.0.0/1",
    "both halves of everybody": "nginx@0.0.0.0/1,nginx@128.0.0.0/1",
    "more than a private network": "nginx@10.0.0.0/7",
    "half of everybody in IPv6": "nginx@8000::/1",
    "more than an organisation has": "nginx@2001:db8::/31",
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


@pytest.mark.parametrize("text", ["nginx@10.0.0.0/8", "nginx@2001:db8::/32"])
def test_the_largest_network_is_one_of_ones_own(text):
    assert len(proxies.parse(text)) == 1


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("nginx@10.1.0.5/24", "write 10.1.0.0/24, or 10.1.0.5 for"),
        ("nginx@fd00::5/64", "write fd00::/64, or fd00::5 for"),
    ],
)
def test_an_address_within_a_network_is_refused_with_what_to_write(text, instead):
    with pytest.raises(ValueError, match=re.escape(instead)):
        proxies.parse(text)


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
