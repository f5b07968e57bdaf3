"""The agent keeps a device's certificate fresh at a real Hatchery, whatever happens to one or the other."""

import os
import re
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.agent.agents import LOSE, Agent, when_asked
from tests.agent.conftest import settings_for
from tests.server import Server, free_ports, seen_within

PRELUDE = """
from datetime import timedelta
from django.utils import timezone
from pki.models import Device, Issuer, Profile, Renewal
from pki.services.audit import Actor
now, actor = timezone.now(), Actor("shell:test")
"""


def inside(server: Server, code: str) -> str:
    done = server.manage("shell", "--no-imports", "-c", PRELUDE + code)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().strip()


def due(agent: Agent) -> None:
    """As if what was chosen and waited for had come."""
    (agent.folder / "current/state").unlink(missing_ok=True)


def test_a_device_that_is_asked_renews_with_a_new_key_and_hatchery_sees_it(agent, server):
    agent.settings["hook"] = 'cat "$HATCHERY_CERT" >"$HOME/hooked"'
    before, pair = agent.certificate, agent.pair
    assert agent.run().returncode == 0
    assert agent.pair == pair, "nobody asked yet"

    server.inside("rotate", agent.name)
    due(agent)
    done = agent.run()
    assert done.returncode == 0, done.stderr
    (serial,) = re.findall(rf"has a new certificate for {agent.name}, serial ([0-9a-f]+)", done.stderr)
    assert int(serial, 16) == agent.serial
    assert agent.certificate.public_key() != before.public_key()
    assert agent.has_one_pair()
    assert agent.left_over == set()
    assert len(list((agent.folder / "pairs").iterdir())) == 1, "the old key is gone"
    assert x509.load_pem_x509_certificates((agent.home / "hooked").read_bytes())[0] == agent.certificate
    query = f"print(Renewal.objects.filter(device__name='{agent.name}', used_at__isnull=False).count())"
    assert seen_within(90, lambda: inside(server, query) == "1")


def test_it_follows_its_device_to_another_issuer(agent, server):
    server.inside("new_issuer", f"for {agent.name}")
    before = agent.certificate.issuer
    inside(
        server,
        f"issuer = Issuer.objects.get(name='for {agent.name}')\n"
        f"Device.objects.filter(name='{agent.name}').update(issuer=issuer)",
    )
    due(agent)
    done = agent.run()
    assert done.returncode == 0, done.stderr
    assert agent.certificate.issuer != before
    serial = agent.serial
    due(agent)
    assert agent.run().returncode == 0
    assert agent.serial == serial, "once"


def test_a_lost_answer_is_had_again_with_the_same_key(agent):
    before = agent.pair
    agent.shim("curl", when_asked("renew", LOSE))
    done = agent.run("now")
    assert done.returncode == 75
    assert "cannot renew now" in done.stderr
    lost = x509.load_pem_x509_certificates((agent.home / "lost").read_bytes())[0]
    assert agent.pair == before
    agent.unshim("curl")
    assert agent.run("now").returncode == 0
    assert agent.serial == lost.serial_number


def test_without_hatchery_the_old_pair_stays_and_each_wait_is_longer(agent):
    before, url = agent.pair, agent.settings["url"]
    agent.settings["url"] = f"https://localhost:{free_ports(1)[0]}"
    for failures in (1, 2, 3):
        done = agent.run("now")
        assert done.returncode == 75
        assert "tries again at" in done.stderr
        assert "the certificate ends at" in done.stderr
        (waits,) = agent.state["retry_at"]
        assert 60 * 2 ** (failures - 1) - 5 <= waits - time.time() <= 60 * 2**failures
    assert agent.pair == before
    assert agent.run().returncode == 75
    assert agent.state["failures"] == [3], "it did not even try"
    agent.settings["url"] = url
    assert agent.run("now").returncode == 0
    assert agent.pair != before


def test_a_hook_that_fails_is_told_and_tried_again_until_it_succeeds(agent):
    agent.settings["hook"] = 'echo >>"$HOME/tries"; test -e "$HOME/repaired"'
    before = agent.pair
    done = agent.run("now")
    assert done.returncode == 4
    assert "the hook failed with status 1, and is tried again next time" in done.stderr
    assert agent.pair != before, "the certificate is stored all the same"
    serial = agent.serial
    assert agent.run().returncode == 4
    (agent.home / "repaired").touch()
    assert agent.run().returncode == 0
    assert agent.run().returncode == 0
    assert len((agent.home / "tries").read_text().splitlines()) == 3
    assert agent.serial == serial


def test_a_hook_that_always_fails_does_not_keep_it_from_renewing(agent):
    agent.settings["hook"] = "false"
    assert agent.run("now").returncode == 4
    serial = agent.serial
    assert agent.run("now").returncode == 4
    assert agent.serial != serial


def test_a_revoked_device_is_told_so_and_begins_anew_with_another_token(agent, server):
    server.revoke(agent.name)
    due(agent)
    done = agent.run()
    assert done.returncode == 3
    assert f"Hatchery refuses the certificate of {agent.name}" in done.stderr
    assert "ask an administrator for a new token" in done.stderr
    serial = agent.serial
    done = agent.run()
    assert done.returncode == 3, "it is refused still"
    assert "asks again at" in done.stderr

    (agent.home / "token").write_text(server.token("--device", agent.name))
    done = agent.run()
    assert done.returncode == 0, done.stderr
    assert agent.serial != serial
    assert agent.has_one_pair()
    assert agent.run().returncode == 0


@pytest.fixture
def slept(server, new_agent) -> Agent:
    """A device whose certificate has ended, as soon as it was made."""
    agent = new_agent()
    inside(server, "Profile.objects.filter(name='device').update(lifetime_seconds=20)")
    try:
        assert agent.run().returncode == 0
    finally:
        inside(server, "Profile.objects.filter(name='device').update(lifetime_seconds=30 * 86400)")
    while time.time() <= agent.certificate.not_valid_after_utc.timestamp() + 1:
        time.sleep(0.2)
    return agent


def test_a_device_that_slept_past_its_end_renews_if_its_profile_gives_grace(slept, server):
    inside(server, "Profile.objects.filter(name='device').update(grace_hours=1)")
    try:
        done = slept.run("now")
    finally:
        inside(server, "Profile.objects.filter(name='device').update(grace_hours=0)")
    assert done.returncode == 0, done.stderr
    assert slept.certificate.not_valid_after_utc.timestamp() > time.time() + 86400


def test_without_grace_a_device_that_slept_past_its_end_needs_a_token(slept, server):
    done = slept.run("now")
    assert done.returncode == 3, done.stderr
    assert "ask an administrator for a new token" in done.stderr
    (slept.home / "token").write_text(server.token("--device", slept.name))
    assert slept.run("now").returncode == 0
    assert slept.certificate.not_valid_after_utc.timestamp() > time.time() + 86400


def test_of_two_at_once_one_works_and_the_other_says_so(agent):
    agent.settings["hook"] = 'touch "$HOME/began"; while ! test -e "$HOME/go"; do sleep 0.1; done'
    first = agent.start("now")
    while not (agent.home / "began").exists():
        assert first.poll() is None
        time.sleep(0.05)
    second = agent.run("now")
    assert second.returncode == 75
    assert "another one is at work" in second.stderr
    (agent.home / "go").touch()
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said


def test_the_lock_of_one_that_was_killed_is_gone_with_it(agent):
    agent.settings["hook"] = 'touch "$HOME/began"; while :; do sleep 0.1; done'
    first = agent.start("now")
    while not (agent.home / "began").exists():
        assert first.poll() is None
        time.sleep(0.05)
    os.killpg(first.pid, 9)
    first.communicate(timeout=60)
    agent.settings["hook"] = ""
    assert agent.run().returncode == 0


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_a_full_disk_leaves_what_was_there(agent, blocks):
    """No file grows beyond so many blocks of 512 bytes; writing more fails as on a full disk."""
    before = agent.pair
    done = agent.run("now", before=f"trap '' XFSZ; ulimit -f {blocks}")
    assert done.returncode in (6, 75), done.stderr
    assert done.stderr
    assert agent.pair == before
    assert agent.has_one_pair()
    assert agent.run("now").returncode == 0
    assert agent.pair != before
    assert agent.left_over == set()


def test_a_folder_that_it_may_not_write_into_is_told(agent):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    agent.folder.chmod(0o500)
    try:
        done = agent.run("now")
    finally:
        agent.folder.chmod(0o700)
    assert done.returncode == 6
    assert "cannot write in" in done.stderr


def test_a_clock_that_is_off_is_told_and_the_window_goes_by_hatcherys(agent):
    agent.shim("date", 'case "$*" in +%s) echo $(($("$REAL" +%s) - 3600)) ;; *) exec "$REAL" "$@" ;; esac')
    due(agent)
    done = agent.run()
    assert done.returncode == 0, done.stderr
    assert "Hatchery's is 3600 s ahead" in done.stderr or "Hatchery's is 3599 s ahead" in done.stderr
    assert abs(agent.state["offset"][0] - 3600) <= 2


# The programs by which it changes something; killed before each of them is killed after the one before.
PROGRAMS = ("curl", "mv", "ln", "rm", "cp", "mkdir", "sync")
KILL_AT = """
n=$(cat "$HOME/count"); n=$((n + 1)); echo $n >"$HOME/count"
[ "$(cat "$HOME/at")" != $n ] || kill -KILL 0
exec "$REAL" "$@"
"""


def calls(agent: Agent, at: int) -> int:
    """Renew, and be killed before that call of a program; how many calls there were."""
    (agent.home / "count").write_text("0")
    (agent.home / "at").write_text(str(at))
    for program in PROGRAMS:
        agent.shim(program, KILL_AT)
    process = agent.start("now")
    _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -9), said
    for program in PROGRAMS:
        agent.unshim(program)
    return int((agent.home / "count").read_text())


@pytest.mark.parametrize("part", range(4))
def test_killed_at_any_point_it_has_its_old_pair_or_its_new_one_and_the_next_run_goes_on(
    new_agent, tmp_path, part
):
    agent, renewed, number, total = new_agent(tmp_path), 0, part, part + 1
    assert agent.run().returncode == 0
    while number <= total:
        number += 4
        if renewed > 6:  # Hatchery wants a pause after ten
            home = tmp_path / str(number)
            home.mkdir()
            agent, renewed = new_agent(home), 0
            assert agent.run().returncode == 0
        before, serial = agent.pair, agent.serial
        total = max(total, calls(agent, number))
        assert agent.has_one_pair(), number
        switched = agent.pair != before
        done = agent.run()
        assert done.returncode in (0, 75), (number, done.stderr)
        assert agent.has_one_pair(), number
        if agent.serial == serial:
            assert not switched
            done = agent.run("now")
            assert done.returncode == 0, (number, done.stderr)
            assert agent.serial != serial
        assert agent.left_over == set(), number
        assert len(list((agent.folder / "pairs").iterdir())) == 1
        renewed += 2
    assert total > 15


def test_where_devices_have_a_root_of_their_own_they_enroll_and_renew_as_anywhere(tmp_path):
    server = Server(tmp_path / "data", {"PORTAL_TOPOLOGY": "two"}).start()
    home = tmp_path / "device"
    home.mkdir()
    agent = Agent(home, "door-1", settings_for(server))
    agent.environment["HATCHERY_TOKEN"] = server.token("--device", "door-1")
    try:
        done = agent.run()
        assert done.returncode == 0, done.stderr
        assert "Client" in agent.certificate.issuer.rfc4514_string()
        assert agent.run().returncode == 0
        before = agent.certificate
        done = agent.run("now")
        assert done.returncode == 0, done.stderr
        assert agent.certificate.public_key() != before.public_key()
        assert agent.has_one_pair()
        assert agent.run().returncode == 0
        trusted = (agent.folder / "ca.pem").read_text()
        assert trusted.startswith("# Hatchery trust bundle")
        assert "Client" not in trusted, "whom it must not take for servers"
    finally:
        server.stop()


def test_a_new_root_and_its_issuer_are_followed(tmp_path):
    """The whole way: the next root is made, published, and the device is asked to move below it."""
    server = Server(tmp_path / "data").start()
    home = tmp_path / "device"
    home.mkdir()
    agent = Agent(home, "door-1", settings_for(server))
    agent.environment["HATCHERY_TOKEN"] = server.token("--device", "door-1")
    try:
        assert agent.run().returncode == 0
        before = agent.certificate.issuer
        inside(
            server,
            "from pki.services.issuing import authorities, succession\n"
            "root = authorities.root_of(Profile.objects.get(name='device').issuer)\n"
            "new = succession.make_next(root, 'P-384', actor, now)\n"
            "Device.objects.filter(name='door-1').update(issuer=Issuer.objects.get(parent=new))\n",
        )
        server.maintain()  # as its workers do within a minute
        for _ in range(20):  # it takes a moment until all of Hatchery knows of its new root
            due(agent)
            assert agent.run().returncode in (0, 75)
            if (
                agent.certificate.issuer != before
                and (agent.folder / "ca.pem").read_text().count("BEGIN") == 2
            ):
                break
            time.sleep(2)
        assert agent.certificate.issuer != before
        assert (agent.folder / "ca.pem").read_text().startswith("# Hatchery trust bundle")
        assert (agent.folder / "ca.pem").read_text().count("BEGIN CERTIFICATE") == 2

        # Who trusts the new one alone hears of the other by the new one's own signature.
        late = Agent(tmp_path / "late", "door-2", dict(agent.settings))
        late.folder.mkdir(parents=True)
        roots = x509.load_pem_x509_certificates((agent.folder / "ca.pem").read_bytes())
        (late.folder / "ca.pem").write_bytes(roots[1].public_bytes(Encoding.PEM))
        late.environment["HATCHERY_TOKEN"] = server.token("--device", "door-2")
        for _ in range(2):
            done = late.run()
            assert done.returncode == 0, done.stderr
        assert x509.load_pem_x509_certificates((late.folder / "ca.pem").read_bytes()) == roots
    finally:
        server.stop()
