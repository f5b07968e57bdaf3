"""Certificates that proxies forward: each form as its proxy writes it, and nothing else."""

import base64
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.core import forwarded
from pki.core.forwarded import LARGEST_CERTIFICATE, LARGEST_HEADER, Form, ForwardedCertificateMalformed
from tests.core.cast import ca, issued, record

# cryptography warns of what it finds odd in a certificate, such as a serial that is not positive.
pytestmark = pytest.mark.filterwarnings("ignore")

often = settings(max_examples=300, deadline=None)
DOOR = issued(ca(), record("door-1"))
GATE = issued(ca(), record("gate-1"))
CHAIN = (DOOR, ca().issuing)


def base64_der(certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def escaped_pem(certificate, line_end="\n") -> str:
    """URL-encoded PEM, every reserved character escaped."""
    pem = certificate.public_bytes(Encoding.PEM).decode().replace("\n", line_end)
    return quote(pem, safe="")


def envoys_pem(certificate) -> str:
    """URL-encoded PEM as Envoy writes it: these characters alone are escaped."""
    pem = certificate.public_bytes(Encoding.PEM).decode()
    for character in "\n +/=":
        pem = pem.replace(character, f"%{ord(character):02X}")
    return pem


def xfcc(certificate, **more: str) -> str:
    pairs = {"Hash": "ab" * 32, "Cert": f'"{envoys_pem(certificate)}"', **more}
    return ";".join(f"{key}={value}" for key, value in pairs.items())


WRITTEN = {
    Form.RFC9440: lambda certificate: f":{base64_der(certificate)}:",
    Form.NGINX: escaped_pem,
    Form.TRAEFIK: base64_der,
    Form.ENVOY: xfcc,
    Form.HAPROXY: base64_der,
}
EACH_FORM = pytest.mark.parametrize("form", list(Form))

VARIANTS = {
    "nginx, with the line ends of another library": (Form.NGINX, escaped_pem(DOOR, "\r\n")),
    "nginx, without a last line end": (Form.NGINX, escaped_pem(DOOR).removesuffix("%0A")),
    "nginx, with lower-case escapes": (Form.NGINX, escaped_pem(DOOR).replace("%2F", "%2f")),
    "traefik, a chain": (Form.TRAEFIK, ",".join(map(base64_der, CHAIN))),
    "traefik, a chain up to the root": (Form.TRAEFIK, ",".join(map(base64_der, (*CHAIN, ca().root)))),
    "traefik, escaped": (Form.TRAEFIK, quote(base64_der(DOOR), safe="")),
    "traefik, a chain escaped as a whole": (Form.TRAEFIK, quote(",".join(map(base64_der, CHAIN)), safe="")),
    "envoy, the certificate alone": (Form.ENVOY, f'Cert="{envoys_pem(DOOR)}"'),
    "envoy, not quoted": (Form.ENVOY, f"Cert={envoys_pem(DOOR)}"),
    "envoy, keys in lower case": (Form.ENVOY, f'hash={"ab" * 32};cert="{envoys_pem(DOOR)}"'),
    "envoy, a subject with everything that must be quoted": (
        Form.ENVOY,
        xfcc(DOOR, Subject=r'"CN=door-1,O=\"A; B\",OU=x"', URI=""),
    ),
    "envoy, its own name and the client's first": (
        Form.ENVOY,
        f'By=spiffe://a/b;URI=spiffe://a/c;DNS=door.example;Cert="{envoys_pem(DOOR)}"',
    ),
}


@EACH_FORM
def test_what_a_proxy_writes_is_read(form):
    assert forwarded.read(form, WRITTEN[form](DOOR)) == DOOR


@pytest.mark.parametrize(("form", "value"), VARIANTS.values(), ids=VARIANTS)
def test_what_versions_of_a_proxy_write_otherwise_is_read_too(form, value):
    assert forwarded.read(form, value) == DOOR


@EACH_FORM
def test_an_empty_header_is_no_certificate(form):
    assert forwarded.read(form, "") is None


@EACH_FORM
def test_two_headers_that_were_joined_are_refused(form):
    """gunicorn joins them by a comma; the first may be the client's, and the second the proxy's."""
    for first in (DOOR, GATE):
        with pytest.raises(ForwardedCertificateMalformed):
            forwarded.read(form, f"{WRITTEN[form](first)},{WRITTEN[form](DOOR)}")


@pytest.mark.parametrize("form", [form for form in Form if form is not Form.TRAEFIK])
def test_two_headers_are_refused_though_one_is_empty(form):
    for value in (f",{WRITTEN[form](DOOR)}", f"{WRITTEN[form](DOOR)},"):
        with pytest.raises(ForwardedCertificateMalformed):
            forwarded.read(form, value)


def test_a_clients_chain_cannot_be_slipped_in_before_the_one_that_traefik_adds():
    slipped_in = ",".join(map(base64_der, (GATE, ca().issuing, *CHAIN)))
    with pytest.raises(ForwardedCertificateMalformed):
        forwarded.read(Form.TRAEFIK, slipped_in)


@EACH_FORM
def test_the_form_of_another_proxy_is_refused(form):
    readable = {WRITTEN[form](DOOR)}
    for other in Form:
        value = WRITTEN[other](DOOR)
        if value not in readable:
            with pytest.raises(ForwardedCertificateMalformed):
                forwarded.read(form, value)


def pem_of(body: str) -> str:
    return quote(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n", safe="")


DER = base64_der(DOOR)
MALFORMED = {
    "no colons": (Form.RFC9440, DER),
    "one colon": (Form.RFC9440, f":{DER}"),
    "an empty byte sequence": (Form.RFC9440, "::"),
    "a parameter": (Form.RFC9440, f":{DER}:;a=b"),
    "a string in place of bytes": (Form.RFC9440, f'"{DER}"'),
    "base64 for URLs": (Form.RFC9440, f":{DER.replace('+', '-').replace('/', '_')}-:"),
    "a space": (Form.RFC9440, f": {DER}:"),
    "base64 with too much padding": (Form.HAPROXY, DER.rstrip("=") + "==="),
    "base64 that breaks off": (Form.HAPROXY, DER.rstrip("=")[:-1] + "A==="),
    "bytes after the certificate": (
        Form.HAPROXY,
        base64.b64encode(DOOR.public_bytes(Encoding.DER) + b"\0").decode(),
    ),
    "a certificate that breaks off": (
        Form.HAPROXY,
        base64.b64encode(DOOR.public_bytes(Encoding.DER)[:-9]).decode(),
    ),
    "HAProxy's quotes": (Form.HAPROXY, f'"{DER}"'),
    "PEM that is not escaped": (Form.NGINX, DOOR.public_bytes(Encoding.PEM).decode()[:-1].replace("\n", " ")),
    "PEM escaped twice": (Form.NGINX, quote(escaped_pem(DOOR), safe="")),
    "two certificates": (Form.NGINX, escaped_pem(DOOR) + escaped_pem(GATE)),
    "words around the block": (Form.NGINX, "x" + escaped_pem(DOOR)),
    "a private key's label": (Form.NGINX, escaped_pem(DOOR).replace("CERTIFICATE", "PRIVATE%20KEY")),
    "an empty block": (Form.NGINX, pem_of("")),
    "a block of nothing that is base64": (Form.NGINX, pem_of("====")),
    "escapes that are not UTF-8": (Form.NGINX, "%FF%FE" + escaped_pem(DOOR)),
    "a percent sign alone": (Form.NGINX, escaped_pem(DOOR) + "%"),
    "an empty entry in a chain": (Form.TRAEFIK, f"{DER},"),
    "a chain in the wrong order": (Form.TRAEFIK, ",".join(map(base64_der, reversed(CHAIN)))),
    "a chain of strangers": (Form.TRAEFIK, ",".join(map(base64_der, (DOOR, ca("P-384").issuing)))),
    "a chain without end": (Form.TRAEFIK, ",".join(map(base64_der, [*CHAIN, *[ca().root] * 9]))),
    "no certificate in the element": (Form.ENVOY, f"Hash={'ab' * 32};URI=spiffe://a/b"),
    "two certificates in the element": (Form.ENVOY, f"{xfcc(DOOR)};Cert={envoys_pem(GATE)}"),
    "the same key in another case": (Form.ENVOY, f"{xfcc(DOOR)};cert={envoys_pem(GATE)}"),
    "a key without a value": (Form.ENVOY, f"Hash;{xfcc(DOOR)}"),
    "a quote that does not end": (Form.ENVOY, f'Subject="CN=x;Cert={envoys_pem(DOOR)}'),
    "words after a quote": (Form.ENVOY, xfcc(DOOR) + "x"),
    "a semicolon at the end": (Form.ENVOY, xfcc(DOOR) + ";"),
    "a chain in place of the certificate": (Form.ENVOY, f'Chain="{envoys_pem(DOOR)}"'),
}


@pytest.mark.parametrize(("form", "value"), MALFORMED.values(), ids=MALFORMED)
def test_what_no_proxy_writes_is_refused_in_a_sentence(form, value):
    with pytest.raises(ForwardedCertificateMalformed) as refused:
        forwarded.read(form, value)
    assert form.header in refused.value.detail
    assert refused.value.detail.endswith(".")


def test_a_client_cannot_hide_an_element_of_envoys_in_a_quote_that_it_opens():
    """What Envoy adds after the client's own header, if it is not set to drop that."""
    hidden = f'Cert="{envoys_pem(GATE)}";Subject="'
    with pytest.raises(ForwardedCertificateMalformed):
        forwarded.read(Form.ENVOY, f"{hidden},{xfcc(DOOR)}")


@EACH_FORM
def test_a_huge_header_is_refused_unread(form):
    with pytest.raises(ForwardedCertificateMalformed, match=str(LARGEST_HEADER)):
        forwarded.read(form, "A" * (LARGEST_HEADER + 1))


@EACH_FORM
def test_a_huge_certificate_is_refused_unread(form):
    padding = base64.b64encode(bytes(LARGEST_CERTIFICATE + 1)).decode()
    lines = "\n".join(padding[start : start + 64] for start in range(0, len(padding), 64))
    pem = pem_of(lines)
    values = {Form.RFC9440: f":{padding}:", Form.NGINX: pem, Form.ENVOY: f'Cert="{pem}"'}
    with pytest.raises(ForwardedCertificateMalformed, match=str(LARGEST_CERTIFICATE)):
        forwarded.read(form, values.get(form, padding))


# --- Anything at all ------------------------------------------------------------------------------


def read_or_refused(form: Form, value: str) -> None:
    """The one thing that must hold of any input. Anything else that is raised fails the test."""
    try:
        certificate = forwarded.read(form, value)
    except ForwardedCertificateMalformed as refusal:
        detail = refusal.detail
    else:
        assert (certificate is None) == (value == "")
        return
    assert detail.isprintable()


@often
@given(st.sampled_from(Form), st.text(max_size=300) | st.text('%:,;="\\AB09+/- Certhash', max_size=300))
def test_any_text_is_read_or_refused(form, value):
    read_or_refused(form, value)


@often
@given(st.sampled_from(Form), st.binary(max_size=300))
def test_any_bytes_in_the_place_of_a_certificate_are_refused(form, content):
    text = base64.b64encode(content).decode()
    values = {
        Form.RFC9440: f":{text}:",
        Form.NGINX: pem_of(text[:76]),
        Form.ENVOY: f"Cert={pem_of(text[:76])}",
    }
    read_or_refused(form, values.get(form, text))


@often
@given(st.data(), st.sampled_from(Form))
def test_a_damaged_header_is_read_or_refused(data, form):
    value = WRITTEN[form](DOOR)
    at = data.draw(st.integers(0, len(value)))
    until = data.draw(st.integers(at, min(len(value), at + 20)))
    read_or_refused(form, value[:at] + data.draw(st.text(max_size=20)) + value[until:])


@often
@given(st.data(), st.sampled_from(Form))
def test_a_damaged_certificate_is_read_or_refused(data, form):
    der = bytearray(DOOR.public_bytes(Encoding.DER))
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    text = base64.b64encode(der).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    values = {Form.RFC9440: f":{text}:", Form.NGINX: pem_of(lines), Form.ENVOY: f"Cert={pem_of(lines)}"}
    read_or_refused(form, values.get(form, text))
