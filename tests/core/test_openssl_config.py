"""OpenSSL's configuration files are read as OpenSSL reads them; what they ask for is told line by line."""

import subprocess
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pki.core import names, openssl_config, openssl_wishes
from pki.core.openssl_config import ConfigRefused
from tests.clients import needs

OPENSSL = needs("openssl", package="openssl")

# As tutorials write them.
REQ_EXT = """
[req]
default_bits = 2048
prompt = no
default_md = sha256
distinguished_name = dn
req_extensions = req_ext

[dn]
C = US
ST = California
L = San Francisco
O = Example, Inc.   # with a comma
OU = IT "Dept"
CN = device-1

[req_ext]
subjectAltName = @alt_names
extendedKeyUsage = clientAuth

[alt_names]
DNS.1 = localhost
DNS.2 = *.example.com
IP.1 = 127.0.0.1
IP.2 = ::1
email.1 = ops@example.com
URI.1 = spiffe://example.com/device-1
"""
V3_REQ = """# a comment of the author's
[ req ]
default_bits       = 4096
distinguished_name = req_distinguished_name
req_extensions     = v3_req
x509_extensions    = v3_ca
prompt             = yes

[ req_distinguished_name ]
countryName                 = Country Name (2 letter code)
countryName_default         = DE
countryName_min             = 2
countryName_max             = 2
0.organizationName          = Organization Name (eg, company)
0.organizationName_default  = Example GmbH
commonName                  = Common Name (e.g. server FQDN or YOUR name)
commonName_default          = server.example
emailAddress                = Email Address

[ v3_req ]
basicConstraints = CA:FALSE
keyUsage = nonRepudiation, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth, clientAuth, codeSigning
subjectAltName = DNS:server.example, IP:10.0.0.7

[ v3_ca ]
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
basicConstraints = critical,CA:true
"""
VARIABLES = """
HOME = .
name = door-7
[ org ]
unit = "Line 3 # east"
[req]
distinguished_name = dn
prompt = no
x509_extensions = ext
[dn]
O = Example \\
    GmbH
OU = ${org::unit}
CN = $name
[ext]
subjectAltName = DNS:${name}.example
"""
CLIENT_EXT = """
authorityKeyIdentifier=keyid,issuer
basicConstraints=CA:FALSE
nsCertType = client, email
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, clientAuth, emailProtection
subjectAltName = @alt_names
[alt_names]
DNS.1 = phone.example
"""
CA = """
[ ca ]
default_ca = CA_default
[ CA_default ]
dir = ./demoCA
database = $dir/index.txt
default_days = 825
x509_extensions = usr_cert
policy = policy_match
[ policy_match ]
countryName = match
commonName = supplied
[ req ]
default_bits = 1024
distinguished_name = dn
RANDFILE = $ENV::HOME/.rnd
[ dn ]
commonName = Name
[ usr_cert ]
basicConstraints=CA:FALSE
nsComment = "OpenSSL Generated Certificate"
extendedKeyUsage = clientAuth
crlDistributionPoints = URI:http://example.com/ca.crl
[ server_cert ]
extendedKeyUsage = serverAuth
"""
# For `openssl req`.
REQUESTS = {"req_ext": REQ_EXT, "v3_req": V3_REQ, "variables": VARIABLES}


def wishes(text: str) -> openssl_wishes.Wishes:
    return openssl_wishes.read(openssl_config.parse(text))


def told(text: str) -> dict[str, str]:
    """What becomes of each assignment, by its name."""
    return {each.written.partition(" = ")[0]: each.becomes for each in wishes(text).told}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The CSR that OpenSSL makes of a file, with the defaults of what it would ask for."""
    folder = tmp_path_factory.mktemp("req")
    subprocess.run(
        [OPENSSL, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "key.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )

    def make(text: str) -> x509.CertificateSigningRequest | None:
        (folder / "a.cnf").write_text(text)
        words = [OPENSSL, "req", "-new", "-batch", "-utf8", "-config", "a.cnf", "-key", "key.pem"]
        done = subprocess.run([*words, "-outform", "DER"], cwd=folder, capture_output=True)
        return x509.load_der_x509_csr(done.stdout) if done.returncode == 0 else None

    return make


@pytest.mark.parametrize("text", REQUESTS.values(), ids=REQUESTS)
def test_openssl_makes_the_subject_and_the_sans_that_are_read_here(made, text):
    csr, read = made(text), wishes(text)
    subject = names.subject_attributes(csr.subject)
    assert read.subject == subject
    extensions = [
        each.value for each in csr.extensions if isinstance(each.value, x509.SubjectAlternativeName)
    ]
    found = names.sans_of(name for each in extensions for name in each)
    # A CSR has the extensions of req_extensions; those of x509_extensions are a self-signed certificate's.
    assert found == ((read.sans, []) if "req_extensions" in text else ([], []))


WORDS = st.lists(
    st.sampled_from(
        ["a", " ", "\\", "\\n", '"', "'", "`", "#", "$v", "${v}", "$(v)", "${o::w}", "$o::w", "$", "\\#",
         "\\$", ",", ";", "é", "\\\n", "::", "\\\\"]
    ), max_size=9,
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS)
def test_a_value_is_what_openssl_makes_of_it(made, words):
    """Whatever quotes, escapes, variables and comments are in it; and what OpenSSL refuses is refused."""
    text = (
        "v = vee\n[ o ]\nw = dou # c\n[req]\ndistinguished_name=dn\nprompt=no\nutf8=yes\n"
        f"string_mask=utf8only\n[dn]\nOU = x=[y]{''.join(words)}\n"
    )
    csr = made(text)
    try:
        read = [entry.value for entry in openssl_config.parse(text).section("dn")]
    except ConfigRefused:
        read = None
    attributes = csr.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME) if csr else None
    assert (None if attributes is None else [each.value for each in attributes]) == read


def test_a_file_with_req_ext_and_alt_names_becomes_all_that_it_says():
    read = wishes(REQ_EXT)
    assert read.rsa_bits == 2048
    assert read.subject == {
        "C": "US", "ST": "California", "L": "San Francisco", "O": "Example, Inc.", "OU": "IT Dept",
        "CN": "device-1",
    }  # fmt: skip
    assert [str(san) for san in read.sans] == [
        "DNS:localhost", "DNS:*.example.com", "IP:127.0.0.1", "IP:::1", "email:ops@example.com",
        "URI:spiffe://example.com/device-1",
    ]  # fmt: skip
    assert [*openssl_wishes.kinds_of(read)] == ["DNS", "IP", "email", "URI"]
    assert read.usages == ["clientAuth"]
    assert told(REQ_EXT)["CN"].startswith("the device's name")


def test_a_file_that_asks_a_person_lets_the_csr_choose():
    read = wishes(V3_REQ)
    assert read.prompts == ["C", "O", "CN"]
    assert read.usages == ["serverAuth", "clientAuth"]
    said = told(V3_REQ)
    assert "no profile grants codeSigning" in said["extendedKeyUsage"]
    assert "nonRepudiation" not in said["keyUsage"]
    assert "emailAddress does not stand in our subjects" in said["emailAddress"]
    assert "-extensions v3_ca alone" in said["[v3_ca]"]


@pytest.mark.parametrize("usage", ["extendedKeyUsage = clientAuth, serverAuth", "nsCertType = server"])
@pytest.mark.parametrize("first", [True, False], ids=["usage first", "names first"])
def test_no_csr_chooses_which_server_it_is(usage, first):
    names = "subjectAltName = DNS:localhost, IP:::1, URI:spiffe://example.com/device-1"
    lines = (usage, names) if first else (names, usage)
    text = "\n".join(["[req]", "req_extensions = ext", "[ext]", *lines])
    assert [*openssl_wishes.kinds_of(wishes(text))] == ["URI"]
    said = [each.becomes for each in wishes(text).told if each.written.startswith("subjectAltName")]
    assert "write DNS:localhost into the device's record" in said[0]
    assert "write IP:::1 into the device's record" in said[1]
    assert said[2] == "the CSR may choose SANs of kind URI"


def test_a_file_for_extfile_has_no_section_for_requests():
    read = wishes(CLIENT_EXT)
    assert (read.usages, [str(san) for san in read.sans]) == (["clientAuth"], ["DNS:phone.example"])
    assert "no profile grants emailProtection" in told(CLIENT_EXT)["extendedKeyUsage"]


def test_a_file_for_openssl_ca_says_how_long_and_for_what():
    read, said = wishes(CA), told(CA)
    assert (read.days, read.usages) == (825, ["clientAuth"])
    assert "others are refused, this size too" in said["default_bits"]
    assert said["crlDistributionPoints"] == "left out: Hatchery sets its own, or none"
    assert "-extensions server_cert alone" in said["[server_cert]"]


def test_a_section_of_a_ca_grants_nothing():
    text = (
        "[req]\nx509_extensions=v3_ca\n"
        "[v3_ca]\nbasicConstraints = critical, CA : true\nextendedKeyUsage=serverAuth"
    )
    read = wishes(text)
    assert not read.usages
    assert "profiles make no CAs" in told(text)["basicConstraints"]


@pytest.mark.parametrize("text", REQUESTS.values(), ids=REQUESTS)
def test_every_line_that_openssl_req_reads_is_told_of(text):
    config, lines = openssl_config.parse(text), {each.line for each in wishes(text).told}
    extensions = config.value("req", "req_extensions") or config.value("req", "x509_extensions")
    for section in {"req", extensions, config.value("req", "distinguished_name"), "alt_names"}:
        for entry in config.section(section):
            # A default is told of with the attribute that it is for.
            assert entry.line in lines or entry.name.endswith(("_default", "_min", "_max")), entry


def installed() -> Path:
    done = subprocess.run([OPENSSL, "version", "-d"], capture_output=True, text=True, check=True)
    return Path(done.stdout.split('"')[1]) / "openssl.cnf"


def test_the_file_that_comes_with_openssl_is_read():
    if not installed().exists():
        pytest.skip(f"{installed()} is not there; on Debian: apt-get install openssl")
    read = wishes(installed().read_text())
    assert read.rsa_bits
    assert read.days
    assert set(read.prompts) >= {"C", "ST", "L", "O", "OU"}
    assert not read.usages, "it grants none"


TIMES_90 = "".join(f"\n{name} = {f'${before}' * 90}" for before, name in pairwise("abcde"))
BOMB = f"a = {'x' * 90}{TIMES_90}"
REFUSED = {
    "another file": ("[req]\n.include /etc/passwd\n", "Line 2 takes in another file"),
    "no assignment": ("[req]\nprompt no\n", "Line 2 is neither"),
    "an open section": ("[req\n", "Line 1 is neither"),
    "an unknown variable": ("[req]\nprompt = $nothing\n", "Line 2 uses $nothing"),
    "nothing of requests": ("[http]\nport = 80\n", "no section [req]"),
    "nothing": ("", "no section [req]"),
    "bits in words": ("[req]\ndefault_bits = many\n", "Line 2: default_bits is a number"),
    "a CSR": ("-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n", "Line 1 is neither"),
    "too large": ("#" * 70_000, "more than 64 KiB"),
    "a bomb": (BOMB, "becomes larger"),
    "thousands of names": (
        f"[req]\nreq_extensions=e\n[e]\nsubjectAltName={'IP:::1,' * 9_000}", "more to say of this file",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_its_line(text, why):
    with pytest.raises(ConfigRefused) as refused:
        wishes(text)
    assert why in refused.value.detail


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text):
    with suppress(ConfigRefused):
        wishes(text)


@pytest.mark.parametrize("days", ["00000000199999999", "9" * 4_000, "0", "3661"])
def test_a_lifetime_of_more_than_ten_years_is_left_out(days):
    text = f"[req]\ndefault_days = {days}"
    assert wishes(text).days is None
    assert told(text)["default_days"].startswith("left out")


def test_the_passphrase_of_a_key_is_told_to_nobody():
    text = "[req]\noutput_password = of a key\ninput_password = of a key"
    assert [each.written for each in wishes(text).told] == ["output_password = ***", "input_password = ***"]


def test_what_a_password_is_made_of_is_not_shown_either():
    text = """[default]
first = opensesame
second = a$first\\
 and-more
unrelated = shown
[req]
default_bits = 2048
output_password = ${default::second}
"""
    shown = openssl_config.without_passwords(text)
    assert "opensesame" not in shown
    assert "and-more" not in shown
    assert "unrelated = shown" in shown
    assert "default_bits = 2048" in shown
    assert shown.count("\n") == text.count("\n")


def test_a_file_without_a_password_is_shown_as_it_is():
    text = "[req]\r\nprompt = no\\\r\n\n# output_pass\nx"
    assert openssl_config.without_passwords(text) == text


COSTLY = {
    "a section without a name": "[" + " " * 60_000,
    "a section without an end": "[" + " a" * 30_000,
    "a section that is named again and again": "[req]\nreq_extensions = e\n[e]\n"
    + f"subjectAltName = {'@s,' * 1000}\n" * 10
    + "[s]\n"
    + "DNS = a\n" * 2_000,
    "a variable that is looked for among many": "[req]\na = 1\n" + "b = 2\n" * 5_000 + "c = " + "$a" * 10_000,
    "values that double": "[req]\na = " + "x" * 30_000 + "\nb = $a$a" * 3_000,
}


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_a_small_file_costs_little_however_it_is_written(text):
    """Hours of time, or gigabytes: more than this run has."""
    assert len(text) <= openssl_config.LARGEST
    try:
        read = wishes(text)
    except ConfigRefused:
        return
    assert len(read.sans) <= 2_000


def test_the_environment_is_not_read(monkeypatch):
    monkeypatch.setenv("ORG", "the value of ORG")
    read = wishes("[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nO = $ENV::ORG\n")
    assert read.subject["O"] == "$ENV::ORG"
