"""Names that a certificate may have, and that every other one is refused as NameRefused."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from pki.core import names
from pki.core.names import NameRefused, San, SanKind
from tests.core.cast import read_back


@pytest.mark.parametrize(
    "name",
    ["a", "7", "door-1", "Door_1", "cam.hall.example", "ada@example", "00:1b:44:11:3a:b7", "a+b", "x" * 64],
)
def test_it_may_name_a_device(name):
    assert names.device_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "door 1",
        "-door",
        "door-",
        ".door",
        "door/1",
        "door\n",
        "\ndoor",
        "do\0or",
        "tür",
        "door*",
        "\u202edoor",
        "d\u00adoor",
        "\N{FULLWIDTH DIGIT ONE}",
        "x" * 65,
        "x" * 10_000,
    ],
)
def test_it_names_no_device(name):
    with pytest.raises(NameRefused) as caught:
        names.device_name(name)
    assert caught.value.code == "name_refused"


@pytest.mark.parametrize("pattern", ["*", "?", "door-*", "*-hall", "door-??", "door-1", "*" * 64])
def test_it_is_a_pattern_of_names(pattern):
    assert names.name_pattern(pattern) == pattern


@pytest.mark.parametrize("pattern", ["", "door *", "door-[12]", "door-*\n", "tür-*", "{a,b}", "*" * 65])
def test_it_is_no_pattern_of_names(pattern):
    with pytest.raises(NameRefused):
        names.name_pattern(pattern)


SANS = [
    # as it is written               what it is
    ("DNS:localhost", San(SanKind.DNS, "localhost")),
    ("dns:Door.Example", San(SanKind.DNS, "Door.Example")),
    ("  DNS:door.example \n", San(SanKind.DNS, "door.example")),
    ("DNS:*.door.example", San(SanKind.DNS, "*.door.example")),
    ("IP:10.0.0.7", San(SanKind.IP, "10.0.0.7")),
    ("IP:::1", San(SanKind.IP, "::1")),
    ("ip:2001:DB8:0:0:0:0:0:1", San(SanKind.IP, "2001:db8::1")),
    ("email:ada.l+hatch@door.example", San(SanKind.EMAIL, "ada.l+hatch@door.example")),
    ("URI:https://door.example/a?b#c", San(SanKind.URI, "https://door.example/a?b#c")),
    (
        "uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        San(SanKind.URI, "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    ),
]


@pytest.mark.parametrize(("text", "san"), SANS)
def test_a_san_is_read_as_it_is_written(text, san):
    assert names.parse_san(text) == san


@pytest.mark.parametrize(("text", "san"), SANS)
def test_a_san_survives_writing_and_a_certificate(text, san):
    assert names.parse_san(str(san)) == san
    assert names.sans_of(read_back([san.general_name()])) == ([san], [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DNS",
        "DNS:",
        ":door.example",
        "door.example",
        "dirName:CN=door",
        "DNS:door example",
        "DNS:-door.example",
        "DNS:door-.example",
        "DNS:door..example",
        "DNS:door.example.",
        "DNS:.door",
        "DNS:*",
        "DNS:*.",
        "DNS:a.*.example",
        "DNS:tür.example",
        "DNS:door\0.example",
        "DNS:" + "x" * 64 + ".example",
        "DNS:" + ".".join(["x" * 63] * 4),
        "IP:",
        "IP:10.0.0",
        "IP:10.0.0.256",
        "IP:010.0.0.1",
        "IP:10.0.0.0/8",
        "IP:[::1]",
        "IP:localhost",
        "IP:fe80::1%eth0",  # a zone is no part of an iPAddress (RFC 5280 4.2.1.6)
        "IP:::1%\n<script>",  # ipaddress takes anything for a zone
        "email:ada",
        "email:@door.example",
        "email:ada@",
        "email:ada@localhost",
        "email:ada@door@example",
        "email:Ada <ada@door.example>",
        "email:.ada@door.example",  # RFC 5321 4.1.2 Dot-string
        "email:ada..l@door.example",
        "URI:door",
        "URI:/door",
        "URI:7:door",
        "URI:urn:",
        "URI:urn:a b",
        "URI:urn:tür",
    ],
)
def test_it_is_no_san(text):
    with pytest.raises(NameRefused):
        names.parse_san(text)


@pytest.mark.parametrize(
    ("host", "san"),
    [
        ("localhost", "DNS:localhost"),
        ("ca.example", "DNS:ca.example"),
        ("127.0.0.1", "IP:127.0.0.1"),
        ("::1", "IP:::1"),
    ],
)
def test_a_host_is_a_name_or_an_address(host, san):
    assert str(names.host_san(host)) == san


@pytest.mark.parametrize(
    "host",
    [
        "",
        "ca example",
        "https://ca.example",
        "[::1]",
        "ca.example:443",
        "tür.example",
        "fe80::1%eth0",  # a certificate has no room for the zone
    ],
)
def test_it_is_no_host(host):
    with pytest.raises(NameRefused):
        names.host_san(host)


def test_a_san_that_hatchery_does_not_know_is_named_and_left_out():
    known, unknown = names.sans_of(
        [
            x509.DNSName("door.example"),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.DirectoryName(x509.Name([])),
            x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
            x509.DNSName("not a name"),
            x509.RFC822Name("ada@localhost"),
        ]
    )
    assert [str(san) for san in known] == ["DNS:door.example"]
    assert unknown == ["RegisteredID", "DirectoryName", "IPAddress", "malformed DNS", "malformed email"]


def test_a_subject_stands_in_its_usual_order_however_it_was_given():
    given = {"CN": "door-1", "OU": "Hall", "O": "Zoë & Söhne", "L": "Kiel", "ST": "SH", "C": "DE"}
    name = names.subject(given)
    assert [attribute.rfc4514_attribute_name for attribute in name] == ["C", "ST", "L", "O", "OU", "CN"]
    assert names.subject_attributes(name) == given


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"CN": ""}, "CN"),
        ({"CN": "x" * 65}, "CN"),
        ({"CN": "é" * 64}, "CN"),  # cryptography counts bytes
        ({"O": "x" * 65}, "O"),
        ({"OU": "x" * 65}, "OU"),
        ({"L": "x" * 129}, "L"),
        ({"ST": "x" * 129}, "ST"),
        ({"O": "Exam\0ple"}, "O"),
        ({"O": "Exam\nple"}, "O"),
        ({"O": "\u202eelpmaxE"}, "O"),
        ({"C": "de"}, "C"),
        ({"C": "D"}, "C"),
        ({"C": "DEU"}, "C"),
        ({"C": "ÄÖ"}, "C"),
        ({"DC": "example"}, "DC"),
        ({"cn": "door-1"}, "cn"),
        ({"O": "Example", "serialNumber": "1"}, "serialNumber"),
    ],
)
def test_it_may_not_stand_in_a_subject(attributes, said):
    with pytest.raises(NameRefused) as caught:
        names.subject(attributes)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("short", "longest"), [("CN", 64), ("O", 64), ("OU", 64), ("L", 128), ("ST", 128)]
)  # RFC 5280 appendix A, ub-*
def test_an_attribute_may_be_as_long_as_the_standard_allows(short, longest):
    name = names.subject({short: "x" * longest})
    assert names.subject_attributes(name) == {short: "x" * longest}


def test_an_attribute_without_a_short_name_stands_under_its_oid():
    name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, "4711")])
    assert names.subject_attributes(name) == {"2.5.4.5": "4711"}


def test_of_an_attribute_that_stands_twice_the_last_is_taken():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value) for value in ("one", "two")])
    assert names.subject_attributes(name) == {"CN": "two"}


def test_a_value_that_is_no_text_is_left_out():
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\0\1", x509.name._ASN1Type.BitString),
            x509.NameAttribute(NameOID.COMMON_NAME, "door-1"),
        ]
    )
    assert names.subject_attributes(name) == {"CN": "door-1"}
