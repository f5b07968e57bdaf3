"""examples/README.md, where it says how the CA certificates come to a proxy: only ours do."""

import re
import shlex

import pytest
from cryptography.hazmat.primitives import hashes

from tests.clients import run
from tests.proxies.fronts import EXAMPLES
from tests.proxies.impostor import Authority, spaced

ROOT, OTHER_ROOT, MALLORY = Authority("root"), Authority("other root"), Authority("mallory")
ISSUING = Authority("issuing", ROOT)
NAMESAKE = Authority("root")
GOOD = ROOT.pem + ISSUING.pem
TRUST_FILES = {"all.pem", "bundle.pem"}


def fingerprint(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA256()).hex(":").upper()


@pytest.fixture
def fetch(status, tmp_path):
    """Runs the README's line."""
    (line,) = re.findall(r"^fetch-cas .*$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)

    def script(*fingerprints: str):
        here = line.replace("fetch-cas", shlex.quote(str(EXAMPLES / "fetch-cas")))
        here = here.replace("http://hatchery.example:8080", status.url).replace(
            "/etc/hatchery", str(tmp_path)
        )
        return run("sh", "-c", here.replace("FINGERPRINT", shlex.join(fingerprints)))

    return script


def test_the_root_and_the_cas_below_it_become_the_two_files(fetch, status, tmp_path):
    status.serve(GOOD)
    done = fetch(fingerprint(ROOT))
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "all.pem").read_bytes() == GOOD
    assert (tmp_path / "bundle.pem").read_bytes() == ROOT.pem
    assert {path.name for path in tmp_path.iterdir()} == TRUST_FILES


def test_a_fingerprint_is_taken_as_the_console_and_as_openssl_write_it(fetch, status):
    status.serve(GOOD)
    for written in (fingerprint(ROOT), fingerprint(ROOT).lower().replace(":", "")):
        assert fetch(written).returncode == 0


def test_two_roots_have_a_fingerprint_each(fetch, status, tmp_path):
    status.serve(ROOT.pem + OTHER_ROOT.pem + ISSUING.pem)
    assert fetch(fingerprint(ROOT)).returncode == 1
    assert fetch(fingerprint(ROOT), fingerprint(OTHER_ROOT)).returncode == 0
    assert (tmp_path / "bundle.pem").read_bytes() == ROOT.pem + OTHER_ROOT.pem


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(GOOD + MALLORY.pem, id="a stranger's CA last"),
        pytest.param(MALLORY.pem + GOOD, id="a stranger's CA first"),
        pytest.param(GOOD + spaced(MALLORY.pem), id="behind a label with a space"),
        pytest.param(GOOD + b"Mallory\n" + MALLORY.pem, id="after text"),
        pytest.param(GOOD + Authority("issuing", MALLORY).pem, id="a CA of a stranger's"),
        pytest.param(GOOD + MALLORY.pem + Authority("issuing", MALLORY).pem, id="both"),
        pytest.param(NAMESAKE.pem + Authority("issuing", NAMESAKE).pem, id="all of it a stranger's"),
        pytest.param(ISSUING.pem, id="no root"),
        pytest.param(MALLORY.pem, id="a stranger's CA alone"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>Log in to this network</html>", id="a page"),
        pytest.param(GOOD[:-200], id="half"),
    ],
)
def test_whatever_else_comes_nothing_is_taken(fetch, status, tmp_path, answer):
    for name in TRUST_FILES:
        (tmp_path / name).write_text("as it was")
    status.serve(answer)
    done = fetch(fingerprint(ROOT))
    assert done.returncode == 1
    assert b"fetch-cas: " in done.stderr
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(
        TRUST_FILES, "as it was"
    )


def test_a_devices_certificate_is_no_ca(fetch, status):
    status.serve(GOOD + Authority("device-1", ROOT, ca=False).pem)
    assert fetch(fingerprint(ROOT)).returncode == 1


def test_whoever_calls_it_wrongly_is_told_how():
    done = run(EXAMPLES / "fetch-cas", "http://localhost/", ".")
    assert done.returncode == 2
    assert b"usage: fetch-cas URL" in done.stderr
