"""docs/bundles.md, as written: each of its lines, in its order, and what it says that they print."""

import json
import plistlib

import pytest
from cryptography import x509

from pki.services.exporting.files import Form
from pki.services.exporting.identities import Container
from tests.clients import needs, run
from tests.live.pages import page, walk

PAGE = page("bundles.md")
PIN_MISMATCH = 90  # curl


@pytest.fixture(scope="module")
def walked(server):
    """Hatchery, once the page was walked through: it leaves files beside the demo device's."""
    needs("keytool", package="default-jdk-headless")
    walk(server, PAGE)
    return server


def test_the_shell_lines_of_the_page_print_what_it_says_and_no_password_is_logged(walked):
    assert (walked.demo / "password").read_text().strip() not in walked.output()


def test_what_the_page_says_of_each_form_there_is():
    for form in (*Form, *Container):
        assert f"`{form}`" in PAGE


def test_the_profile_installs_the_root_that_verified_it(walked):
    (root,) = plistlib.loads((walked.demo / "profile.plist").read_bytes())["PayloadContent"]
    (trusted,) = x509.load_pem_x509_certificates((walked.demo / "ca.pem").read_bytes())
    assert x509.load_der_x509_certificate(root["PayloadContent"]) == trusted


def test_a_key_that_is_not_in_use_yet_is_pinned_and_another_is_not(walked):
    """curl takes the list, and refuses each server whose key is not on it."""
    server = walked.url("hello", "/hello")
    device = ("--cert", "client.pem", "--key", "client.key")
    asked = ("curl", "-sS", "--cacert", "ca.pem", *device, walked.url("secure", "/bundle?form=pins-curl"))
    pins = run(*asked, cwd=walked.demo).stdout.decode().strip()
    curl = ("curl", "-sS", "--cacert", "ca.pem", "--pinnedpubkey")
    heard = run(*curl, pins, server, cwd=walked.demo)
    assert json.loads(heard.stdout)["auth"] == "server-only (one-way TLS)"
    (hit,) = [pin for pin in pins.split(";") if run(*curl, pin, server, cwd=walked.demo).returncode == 0]
    others = ";".join(pin for pin in pins.split(";") if pin != hit)
    assert run(*curl, others, server, cwd=walked.demo).returncode == PIN_MISMATCH
