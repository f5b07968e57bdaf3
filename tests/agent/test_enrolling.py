"""The agent enrolls: with a token that nobody sees, and a key that never leaves."""

import stat
import time

import pytest
from cryptography import x509

from tests.agent.agents import LOSE, SCRIPT, when_asked
from tests.agent.impostor import Authority
from tests.clients import needs, run

APPROVE = """
from django.utils import timezone
from pki.models import EnrollmentRequest
from pki.services.audit import Actor
from pki.services.enrolling import approval
waiting = EnrollmentRequest.objects.get(name='{name}', state='waiting')
approval.approve(waiting.pk, Actor('shell:test'), timezone.now())
"""


@pytest.mark.parametrize("shell", [("sh",), ("dash",), ("busybox", "ash")], ids=" ".join)
def test_a_device_with_a_token_gets_its_certificate_and_then_there_is_nothing_to_do(new_agent, shell):
    needs(shell[0], package=shell[0])
    agent = new_agent()
    agent.shell = shell
    first = agent.run()
    assert first.returncode == 0, first.stderr
    assert f"has a new certificate for {agent.name}" in first.stderr
    assert agent.has_one_pair()
    assert agent.left_over == set()
    serial = agent.serial

    again = agent.run()
    assert again.returncode == 0, again.stderr
    assert agent.serial == serial
    assert agent.run().stderr == ""


def test_what_is_secret_is_its_owners_alone(agent):
    for path in (agent.folder, *agent.folder.rglob("*")):
        assert path.is_symlink() or not stat.S_IMODE(path.stat().st_mode) & 0o077, path


def test_the_token_is_on_no_command_line_and_no_hook_gets_it(new_agent, token):
    agent = new_agent()
    agent.settings["token_file"] = ""
    agent.settings["hook"] = 'env >"$HOME/hook"'
    agent.environment["HATCHERY_TOKEN"] = token
    agent.shim("curl", 'echo "$@" >>"$HOME/lines"; env >>"$HOME/lines"; exec "$REAL" "$@"')
    assert agent.run().returncode == 0
    lines = (agent.home / "lines").read_text()
    assert "/sign-csr" in lines
    assert token not in lines
    assert "HATCHERY_CERT" in (agent.home / "hook").read_text()
    assert token not in (agent.home / "hook").read_text()


def test_settings_are_read_and_never_executed(new_agent):
    agent = new_agent()
    agent.settings["key"] = f"$(touch {agent.home}/executed)"
    done = agent.run()
    assert done.returncode == 2
    assert "key= is P-256" in done.stderr
    agent.settings["key"] = "P-256"
    agent.settings["colour"] = f"`touch {agent.home}/executed`"
    assert agent.run().returncode == 2
    assert not (agent.home / "executed").exists()


@pytest.mark.parametrize("kind", ["P-384", "Ed25519", "RSA-2048"])
def test_a_key_of_each_kind(new_agent, server, kind):
    agent = new_agent()
    agent.settings["key"] = kind
    done = agent.run()
    if "key_refused" in done.stderr:  # the profile as it comes does not allow all of them
        assert done.returncode == 3
        agent.settings["key"] = "P-256"  # another setting is another request, at once
        done = agent.run("now")
    assert done.returncode == 0, done.stderr
    assert agent.has_one_pair()


def test_another_root_than_was_named_is_not_trusted(new_agent):
    agent = new_agent()
    agent.settings["ca_sha256"] = "00" * 32
    done = agent.run()
    assert done.returncode == 5
    assert "has the fingerprint that ca_sha256= names" in done.stderr
    assert not (agent.folder / "ca.pem").exists()


def test_a_server_under_another_ca_hears_no_token(new_agent):
    agent = new_agent()
    agent.folder.mkdir()
    stranger = Authority("stranger")
    (agent.folder / "ca.pem").write_bytes(stranger.pem)
    done = agent.run()
    assert done.returncode == 5
    assert "is not a Hatchery that" in done.stderr
    assert "this device's clock says" in done.stderr, "the other reason why a certificate is not good"


def test_a_refusal_is_told_and_asked_for_again_only_after_a_while_or_with_another_token(new_agent, token):
    agent = new_agent()
    (agent.home / "token").write_text("wrong\n")
    refused = agent.run()
    assert refused.returncode == 3
    assert "401 token_invalid. The token is not valid" in refused.stderr
    again = agent.run()
    assert again.returncode == 3
    assert "asks again at" in again.stderr
    (agent.home / "token").write_text(token)
    assert agent.run().returncode == 0


def test_a_lost_answer_is_had_again_with_the_same_key(new_agent):
    agent = new_agent()
    agent.shim("curl", when_asked("sign-csr", LOSE))
    assert agent.run().returncode == 75
    lost = x509.load_pem_x509_certificates((agent.home / "lost").read_bytes())[0]
    assert not (agent.folder / "current").exists()
    agent.unshim("curl")
    assert agent.run().returncode == 0
    assert agent.serial == lost.serial_number


def test_it_waits_for_an_administrator_and_asks_again(new_agent, server):
    agent = new_agent()
    agent.settings |= {"token_file": "", "wait": "0"}
    policy = (
        "from pki.models import Profile; Profile.objects.filter(name='device').update(enrollment_policy='{}')"
    )
    server.manage("shell", "--no-imports", "-c", policy.format("approval"))
    try:
        waiting = agent.run()
        assert waiting.returncode == 75
        assert "waits for an administrator" in waiting.stderr
        agent.settings["wait"] = "120"
        process = agent.start()
        time.sleep(1)
        done = server.manage("shell", "--no-imports", "-c", APPROVE.format(name=agent.name))
        assert done.returncode == 0, done.stderr
        _, said = process.communicate(timeout=90)
        assert process.returncode == 0, said
        assert agent.has_one_pair()
    finally:
        server.manage("shell", "--no-imports", "-c", policy.format("token"))


def test_shellcheck_finds_nothing():
    done = run(needs("shellcheck", package="shellcheck"), "--shell", "sh", SCRIPT)
    assert done.returncode == 0, done.stdout.decode()


def test_whoever_calls_it_wrongly_is_told_how(tmp_path):
    assert b"usage: hatchery-agent" in run("sh", SCRIPT).stderr
    assert run("sh", SCRIPT, tmp_path / "nowhere").returncode == 2
