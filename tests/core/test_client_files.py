"""Pins, configuration profiles, Kubernetes secrets and key files, read by parsers that are not ours."""

import base64
import json
import plistlib
import re
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from pki.core import apple, bundles, key_files, kubernetes, pin_lists, pins
from pki.core.pin_lists import Listed, Writing
from tests.clients import run
from tests.core.cast import ca, issued, private_key, record

HOSTS = ["hatchery.example", "10.0.0.7"]
PINS = [pins.spki_pin(private_key(kind).public_key()) for kind in ("P-256", "P-384")]
LISTED = [Listed(PINS[0], is_backup=False), Listed(PINS[1], is_backup=True)]
PASSWORD = "a password of some length"


# --- Pins -----------------------------------------------------------------------------------------


def test_curls_pins_are_one_word_for_its_option():
    written = pin_lists.written(Writing.CURL, HOSTS, LISTED)
    assert written == f"sha256//{PINS[0]};sha256//{PINS[1]}\n"
    assert [pins.from_text(each) for each in written.strip().split(";")] == [
        pins.spki_sha256(private_key(kind).public_key()) for kind in ("P-256", "P-384")
    ]


def test_okhttp_pins_each_host_to_each_key():
    written = pin_lists.written(Writing.OKHTTP, HOSTS, LISTED)
    assert re.findall(r'\.add\("([^"]*)", "sha256/([^"]*)"\)', written) == [
        (host, pin) for host in HOSTS for pin in PINS
    ]


def test_androids_pins_are_xml_with_its_elements():
    root = ElementTree.fromstring(pin_lists.written(Writing.ANDROID, HOSTS, LISTED))  # noqa: S314  our own
    (config,) = root.findall("domain-config")
    assert root.tag == "network-security-config"
    assert [each.text for each in config.findall("domain")] == HOSTS
    assert [(each.get("digest"), each.text) for each in config.findall("pin-set/pin")] == [
        ("SHA-256", pin) for pin in PINS
    ]
    assert config.find("trust-anchors/certificates").get("src") == "@raw/ca"


def test_trustkit_and_ios_are_property_lists_with_their_keys():
    trustkit = plistlib.loads(pin_lists.written(Writing.TRUSTKIT, HOSTS, LISTED).encode())
    domains = trustkit["TSKConfiguration"]["kTSKPinnedDomains"]
    assert list(domains) == sorted(HOSTS)
    for domain in domains.values():
        assert domain["kTSKPublicKeyHashes"] == PINS
        assert domain["kTSKEnforcePinning"] is True
        assert domain["kTSKDisableDefaultReportUri"] is True
    ios = plistlib.loads(pin_lists.written(Writing.NS_PINNED_DOMAINS, HOSTS, LISTED).encode())
    for domain in ios["NSAppTransportSecurity"]["NSPinnedDomains"].values():
        assert [each["SPKI-SHA256-BASE64"] for each in domain["NSPinnedCAIdentities"]] == PINS


@pytest.mark.parametrize("writing", [each for each in Writing if each is not Writing.CURL])
def test_beside_each_pin_stands_whether_its_key_is_in_use_or_comes_next(writing):
    lines = [line for line in pin_lists.written(writing, HOSTS, LISTED).splitlines() if "=" in line]
    current, backup = ([line for line in lines if pin in line] for pin in PINS)
    assert current
    assert len(current) == len(backup)
    assert all("current" in line and "backup" not in line for line in current)
    assert all("backup" in line and "current" not in line for line in backup)


# --- Configuration profiles -----------------------------------------------------------------------


def profile(name="Hatchery", roots=None, identity=None):
    return plistlib.loads(apple.profile(name, "hatchery.example", roots or [ca().root], identity))


def test_a_profile_holds_its_roots_and_its_identity():
    made = profile(identity=apple.Identity("door-1", b"a PKCS#12 file"))
    root, identity = made["PayloadContent"]
    assert (made["PayloadType"], made["PayloadVersion"]) == ("Configuration", 1)
    assert root["PayloadType"] == "com.apple.security.root"
    assert x509.load_der_x509_certificate(root["PayloadContent"]) == ca().root
    assert identity["PayloadType"] == "com.apple.security.pkcs12"
    assert identity["PayloadContent"] == b"a PKCS#12 file"
    assert "Password" not in identity, "iOS asks for it"
    identifiers = [each["PayloadIdentifier"] for each in (made, root, identity)]
    assert len(set(identifiers)) == 3


def test_a_name_that_xml_cannot_write_is_shown_in_a_profile_all_the_same():
    made = profile(identity=apple.Identity("door\x00\x1b\uffff-1", b"a PKCS#12 file"))
    assert made["PayloadContent"][1]["PayloadDisplayName"] == "door\ufffd\ufffd\ufffd-1"


def test_a_profile_takes_the_place_of_the_one_before_and_says_that_it_is_another():
    before, after = profile(), profile(roots=[ca().root, ca().issuing])
    assert before["PayloadIdentifier"] == after["PayloadIdentifier"]
    assert before["PayloadUUID"] != after["PayloadUUID"]
    assert profile() == before
    assert profile("another")["PayloadIdentifier"] != before["PayloadIdentifier"]


def test_the_roots_of_a_device_never_take_the_place_of_its_identity():
    identity = apple.Identity("door-1", b"a PKCS#12 file")
    alone, both = profile("door-1"), profile("door-1", identity=identity)
    identifiers = [each["PayloadIdentifier"] for each in (alone, both, both["PayloadContent"][1])]
    assert len(set(identifiers)) == 3


# --- Kubernetes -----------------------------------------------------------------------------------


def read_yaml(text):
    """What a YAML parser reads in the few constructs that are written: mappings by indentation, JSON strings.

    Anything else fails.
    """
    found, path = {}, []
    for line in text.splitlines():
        indent, key, value = re.fullmatch(r'((?:  )*)([A-Za-z.]+):(?: (".*"))?', line).groups()
        path[len(indent) // 2 :] = [key]
        inner = found
        for each in path[:-1]:
            inner = inner[each]
        assert key not in inner
        inner[key] = {} if value is None else json.loads(value)
    return found


def test_a_tls_secret_holds_the_three_files():
    chain = bundles.pem([issued(ca(), record("door-1")), ca().issuing])
    key, root = bundles.private_key_pem(private_key("P-256")), bundles.pem([ca().root])
    made = read_yaml(kubernetes.tls_secret("door-1", "shop", certificate=chain, key=key, ca=root))
    assert (made["apiVersion"], made["kind"], made["type"]) == ("v1", "Secret", "kubernetes.io/tls")
    assert made["metadata"] == {"name": "door-1", "namespace": "shop"}
    files = {name: base64.b64decode(value, validate=True) for name, value in made["data"].items()}
    assert files == {"tls.crt": chain, "tls.key": key, "ca.crt": root}


def test_a_secret_of_what_to_trust_has_nothing_else():
    made = read_yaml(kubernetes.trust_secret("hatchery-ca", "default", b"PEM"))
    assert made["type"] == "Opaque"
    assert list(made["data"]) == ["ca.crt"]


NO_NAMES = [
    "",
    "Door",
    "door_1",
    "-door",
    "door-",
    ".door",
    "a..b",
    "a.-b",
    "door\n",
    'a"\nkind: Pod',
    "x" * 254,
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_kubernetes_would_refuse_is_refused(name):
    with pytest.raises(kubernetes.KubernetesNameRefused):
        kubernetes.trust_secret(name, "default", b"")
    with pytest.raises(kubernetes.KubernetesNameRefused):
        kubernetes.trust_secret("good", name, b"")


@given(st.text(max_size=300))
def test_any_name_is_made_one_that_kubernetes_takes(name):
    made = kubernetes.name_for(name)
    assert read_yaml(kubernetes.trust_secret(made, "default", b""))["metadata"]["name"] == made


def test_a_name_that_does_stays_as_it_is():
    assert kubernetes.name_for("door-1.example") == "door-1.example"


# --- Key files ------------------------------------------------------------------------------------


def pem(key, *, locked=False, form=PrivateFormat.PKCS8, encoding=Encoding.PEM):
    return key.private_bytes(
        encoding, form, BestAvailableEncryption(PASSWORD.encode()) if locked else NoEncryption()
    )


@pytest.mark.parametrize("kind", ["P-256", "P-384", "Ed25519", "RSA-2048"])
def test_an_owners_key_is_read_as_openssl_writes_it(kind):
    key = private_key(kind)
    assert key_files.read(pem(key), None).public_key() == key.public_key()
    assert key_files.read(pem(key), "not needed").public_key() == key.public_key()
    assert key_files.read(pem(key, locked=True), PASSWORD).public_key() == key.public_key()
    assert key_files.read(pem(key, encoding=Encoding.DER), None).public_key() == key.public_key()


@pytest.mark.parametrize("options", [(), ("-aes256", "-passout", f"pass:{PASSWORD}")], ids=["open", "locked"])
def test_so_is_one_of_the_older_forms(options):
    old = run("openssl", "ec", *options, stdin=pem(private_key("P-256")))
    assert old.stdout.startswith(b"-----BEGIN EC PRIVATE KEY-----")
    with_parameters = run("openssl", "ecparam", "-name", "prime256v1").stdout + old.stdout
    for data in (old.stdout, with_parameters):
        assert key_files.read(data, PASSWORD).public_key() == private_key("P-256").public_key()


def test_a_locked_key_stays_shut_without_its_passphrase():
    locked = pem(private_key("P-256"), locked=True)
    with pytest.raises(key_files.PassphraseNeeded):
        key_files.read(locked, None)
    for passphrase in ("", "another"):
        with pytest.raises(key_files.WrongPassphrase):
            key_files.read(locked, passphrase)


NO_KEYS = {
    "nothing": b"",
    "words": b"hello",
    "a certificate": bundles.pem([ca().root]),
    "a public key": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "half a key": pem(private_key("P-256"))[:90],
    "too much": b"x" * (key_files.LARGEST + 1),
    "a kind that is not certified": pem(private_key("Ed448")),
    "PKCS#12": bundles.java_truststore([ca().root]),
}


@pytest.mark.parametrize("data", NO_KEYS.values(), ids=NO_KEYS)
def test_what_is_no_key_of_ours_is_refused(data):
    with pytest.raises(key_files.KeyFileRefused):
        key_files.read(data, None)


@given(st.binary(max_size=400))
def test_no_bytes_are_more_than_a_refusal(data):
    for each in (
        data,
        b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(data) + b"\n-----END PRIVATE KEY-----",
    ):
        with pytest.raises(key_files.KeyFileRefused):
            key_files.read(each, PASSWORD)


def test_a_key_goes_with_its_own_certificate_alone():
    certificate = issued(ca(), record("door-1"))
    with pytest.raises(key_files.KeyMismatch):
        key_files.require_fits(private_key("P-384"), certificate)
    key_files.require_fits(private_key("P-256"), certificate)


def test_a_pem_file_without_a_password_has_an_open_key():
    certificate = issued(ca(), record("door-1"))
    made = bundles.pem_with_key(private_key("P-256"), certificate, [ca().issuing], None)
    assert load_pem_private_key(made, None).public_key() == certificate.public_key()
    assert x509.load_pem_x509_certificates(made) == [certificate, ca().issuing]
