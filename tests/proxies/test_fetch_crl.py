"""examples/crl/fetch-crl: a good list is never replaced by anything but a better one."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from cryptography import x509

from tests.clients import run
from tests.proxies.fronts import EXAMPLES
from tests.proxies.impostor import Authority, spaced


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("root")


@pytest.fixture(scope="module")
def issuing() -> Authority:
    return Authority("issuing")


@pytest.fixture
def fetch(status, root, issuing, tmp_path):
    """Runs the script; the command leaves a line in `reloads` for each time that it was run."""
    (tmp_path / "all.pem").write_bytes(root.pem + issuing.pem)

    def script(command: str = "echo >>reloads"):
        return run(
            *(
                EXAMPLES / "crl" / "fetch-crl",
                f"{status.url}/crl/all.pem",
                "all.pem",
                "crl.pem",
                "sh",
                "-c",
                command,
            ),
            cwd=tmp_path,
        )

    return script


def reloads(folder) -> int:
    made = folder / "reloads"
    return len(made.read_text().splitlines()) if made.exists() else 0


def test_the_first_list_is_stored_and_the_proxy_told(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1))
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body
    assert reloads(tmp_path) == 1


def test_the_same_list_is_not_sent_again_and_nobody_is_told(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    for _ in range(3):
        assert fetch().returncode == 0
    assert status.answered == [200, 304, 304]
    assert reloads(tmp_path) == 1


def test_a_new_list_takes_the_place_of_the_old_one(fetch, status, root, issuing, tmp_path):
    for number in (1, 2):
        status.serve(root.crl(1) + issuing.crl(number), tag=f'"{number}"')
        assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body
    assert reloads(tmp_path) == 2


def test_a_list_that_was_lost_is_fetched_again(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    fetch()
    (tmp_path / "crl.pem").unlink()
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_a_proxy_that_could_not_reload_is_told_again(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    failed = fetch("exit 1")
    assert failed.returncode == 1
    assert b"did not read the new list" in failed.stderr
    assert fetch().returncode == 0
    assert reloads(tmp_path) == 1


@dataclass
class Case:
    """Two CAs with their lists of a moment ago, and what an attacker has."""

    root: Authority
    issuing: Authority
    mallory: Authority = field(default_factory=lambda: Authority("mallory"))

    @property
    def good(self) -> bytes:
        return self.root.crl(0x10) + self.issuing.crl(0x10)

    @property
    def newer(self) -> bytes:
        return self.root.crl(0x10) + self.issuing.crl(0x11)

    @property
    def half(self) -> bytes:
        return self.newer[: len(self.newer) * 3 // 4]


A_NAME = [x509.UniformResourceIdentifier("http://localhost/crl/1.crl")]
SHARD = x509.IssuingDistributionPoint(A_NAME, None, False, False, None, False, False)
BLOCK = b"-----BEGIN X509 CRL-----\n%s\n-----END X509 CRL-----\n"
BAD: dict[str, Callable[[Case], dict]] = {
    "half": lambda case: {"body": case.half, "announced": len(case.newer)},
    "half, and nobody knows": lambda case: {"body": case.half},
    "one list is missing": lambda case: {"body": case.issuing.crl(0x11)},
    "nothing": lambda case: {"body": b""},
    "a page": lambda case: {"body": b"<html>Log in to this network</html>"},
    "an error": lambda case: {"body": b"{}", "status": 503},
    "a redirect": lambda case: {"body": b"", "status": 302},
    "unchanged": lambda case: {"body": b"", "status": 304, "tag": ""},
    "a changed byte": lambda case: {"body": case.root.crl(0x10) + changed(case.issuing.crl(0x11))},
    "no base64": lambda case: {"body": case.newer + BLOCK % b"!!!!"},
    "no list in it": lambda case: {"body": case.newer + BLOCK % b"AAAA"},
    "a certificate": lambda case: {"body": case.newer + case.mallory.pem},
    "a certificate and its list, spaced": lambda case: {
        "body": case.newer + spaced(case.mallory.pem + case.mallory.crl(9))
    },
    "a certificate in a list": lambda case: {
        "body": case.newer.replace(b"-----END", case.mallory.pem + b"-----END", 1)
    },
    "a spaced label": lambda case: {"body": spaced(case.newer)},
    "text between": lambda case: {"body": b"Hatchery\n" + case.newer},
    "the same CA twice": lambda case: {"body": case.newer + case.issuing.crl(0x12)},
    "an older list": lambda case: {"body": case.root.crl(0x10) + case.issuing.crl(0xF)},
    "an expired list": lambda case: {"body": case.root.crl(0x11, days=-2) + case.issuing.crl(0x11)},
    "a list of tomorrow": lambda case: {"body": case.root.crl(0x11, days=1) + case.issuing.crl(0x11)},
    "no number": lambda case: {"body": case.root.crl(0x11) + case.issuing.crl(None)},
    "a shard": lambda case: {"body": case.root.crl(0x11) + case.issuing.crl(0x11, SHARD)},
    "a delta": lambda case: {
        "body": case.root.crl(0x11) + case.issuing.crl(0x11, x509.DeltaCRLIndicator(0x10))
    },
}


def changed(pem: bytes) -> bytes:
    lines = pem.splitlines(keepends=True)
    lines[2] = lines[2].swapcase()
    return b"".join(lines)


@pytest.mark.parametrize("bad", list(BAD))
def test_what_is_not_whole_signed_and_new_changes_nothing(fetch, status, root, issuing, tmp_path, bad):
    case = Case(root, issuing)
    good = case.good
    status.serve(good, tag='"good"')
    assert fetch().returncode == 0
    if bad == "unchanged":  # of what? there is no tag any more
        (tmp_path / "crl.pem.etag").write_text("")
    status.serve(**{"tag": '"bad"'} | BAD[bad](case))
    done = fetch()
    assert done.returncode == 1
    assert done.stderr.startswith(b"fetch-crl: ") or b"\nfetch-crl: " in done.stderr
    assert (tmp_path / "crl.pem").read_bytes() == good
    assert reloads(tmp_path) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"all.pem", "crl.pem", "crl.pem.etag", "reloads"}

    better = root.crl(0x100) + issuing.crl(0x11)
    status.serve(better, tag='"better"')
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == better


def test_a_list_that_expired_meanwhile_is_asked_for_without_its_tag(fetch, status, root, issuing, tmp_path):
    """Or whoever stands between could say "unchanged" for ever, and the script that all is well."""
    (tmp_path / "crl.pem").write_bytes(root.crl(1, days=-2) + issuing.crl(1))
    (tmp_path / "crl.pem.etag").write_text('"old"\n')
    status.serve(b"", status=304)
    assert fetch().returncode == 1
    status.serve(root.crl(2) + issuing.crl(1), tag='"old"')
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_a_damaged_file_is_replaced(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1), tag='"one"')
    fetch()
    (tmp_path / "crl.pem").write_bytes(status.body[:300])
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_two_cas_of_one_name_have_a_list_each(fetch, status, root, issuing, tmp_path):
    """A CA that was made anew keeps its name, and the old one its devices."""
    anew = Authority("issuing")
    (tmp_path / "all.pem").write_bytes(root.pem + issuing.pem + anew.pem)
    status.serve(root.crl(7) + issuing.crl(7) + anew.crl(1))
    assert fetch().returncode == 0
    assert (tmp_path / "crl.pem").read_bytes() == status.body


@pytest.mark.parametrize("name", ["mallory", "issuing"])
def test_a_list_of_a_ca_that_the_proxy_does_not_know_is_left_out_and_said(
    name, fetch, status, root, issuing, tmp_path
):
    """A CA that is new, or was declared compromised, keeps no other one's revocations from the proxy."""
    ours = root.crl(1) + issuing.crl(1)
    status.serve(ours + Authority(name).crl(9))
    done = fetch()
    assert done.returncode == 0
    assert f"left out the list of CN = {name}: no CA of all.pem".encode() in done.stderr
    assert (tmp_path / "crl.pem").read_bytes() == ours
    assert reloads(tmp_path) == 1


def test_the_systems_cas_sign_no_lists(fetch, status, root, issuing, tmp_path, monkeypatch):
    """Nobody but those of all.pem, though openssl asks the system's folder as well."""
    mallory = Authority("mallory")
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "mallory.pem").write_bytes(mallory.pem)
    assert run("openssl", "rehash", tmp_path / "system").returncode == 0
    ours = root.crl(1) + issuing.crl(1)
    status.serve(ours + mallory.crl(1))
    script = (EXAMPLES / "crl" / "fetch-crl", f"{status.url}/crl/all.pem", "all.pem", "crl.pem", "true")
    done = run("env", f"SSL_CERT_DIR={tmp_path / 'system'}", *script, cwd=tmp_path)
    assert b"left out the list of CN = mallory" in done.stderr
    assert (tmp_path / "crl.pem").read_bytes() == ours


def test_cas_with_anything_beside_them_are_not_taken(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1))
    (tmp_path / "all.pem").write_bytes(root.pem + issuing.pem + spaced(Authority("mallory").pem))
    assert b"nothing else" in fetch().stderr
    assert not (tmp_path / "crl.pem").exists()


def test_a_hatchery_that_is_down_changes_nothing(fetch, status, root, issuing, tmp_path):
    status.serve(root.crl(1) + issuing.crl(1))
    assert fetch().returncode == 0
    status.shutdown()
    status.server_close()
    assert fetch().returncode == 1
    assert (tmp_path / "crl.pem").read_bytes() == status.body


def test_whoever_calls_it_wrongly_is_told_how():
    done = run(EXAMPLES / "crl" / "fetch-crl", "http://localhost/")
    assert done.returncode == 2
    assert b"usage: fetch-crl URL" in done.stderr
