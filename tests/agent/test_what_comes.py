"""What the agent is sent counts only once it is checked; something stands in Hatchery's place here."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.agent.agents import Agent
from tests.agent.impostor import Answer, Authority, answering, signed_bundle

ROOT, STRANGER, NEXT_ROOT = Authority("root"), Authority("stranger"), Authority("next root")
ISSUING = Authority("issuing", ROOT)
BELOW_NEXT = Authority("next issuing", NEXT_ROOT)
OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()


def utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def window(start: timedelta, end: timedelta, **headers: str) -> Answer:
    now = datetime.now(UTC)
    body = f'{{"suggestedWindow": {{"start": "{utc(now + start)}", "end": "{utc(now + end)}"}}}}'
    return Answer(body.encode(), headers=headers)


LATER = (timedelta(days=5), timedelta(days=6))
PAST = (timedelta(days=-2), timedelta(days=-1))


@pytest.fixture
def hatchery(tmp_path):
    with answering(tmp_path, ROOT) as running:
        running.rules = {
            "sign-csr": lambda csr, _: Answer(ISSUING.for_csr(csr) + ISSUING.pem),
            "renew": lambda csr, _: Answer(ISSUING.for_csr(csr) + ISSUING.pem),
            "secure": lambda *_: Answer(b"{}"),
            "renewal-info": lambda *_: window(*LATER),
        }
        yield running


@pytest.fixture
def agent(hatchery, tmp_path) -> Agent:
    """A device that this stand-in has enrolled."""
    made = Agent(tmp_path, "door-1", {"url": hatchery.url, "enroll_url": hatchery.url})
    made.folder.mkdir()
    (made.folder / "ca.pem").write_bytes(ROOT.pem)
    done = made.run()
    assert done.returncode == 0, done.stderr
    return made


WRONG = {
    "for another key": lambda csr: ISSUING.for_csr(csr, key=OTHER_KEY) + ISSUING.pem,
    "for another name": lambda csr: ISSUING.for_csr(csr, name="door-2") + ISSUING.pem,
    "of another CA": lambda csr: STRANGER.for_csr(csr) + ISSUING.pem,
    "without its chain": lambda csr: ISSUING.for_csr(csr),
    "expired": lambda csr: ISSUING.for_csr(csr, begins=timedelta(days=-31)) + ISSUING.pem,
    "not yet valid": lambda csr: ISSUING.for_csr(csr, begins=timedelta(days=2)) + ISSUING.pem,
    "the chain first": lambda csr: ISSUING.pem + ISSUING.for_csr(csr),
    "cut off": lambda csr: ISSUING.for_csr(csr)[:-100],
    "with text": lambda csr: ISSUING.for_csr(csr) + b"Hello\n" + ISSUING.pem,
    "changed": lambda csr: ISSUING.for_csr(csr).swapcase() + ISSUING.pem,
    "a page": lambda csr: b"<html>Log in to this network</html>",
    "nothing": lambda csr: b"",
    "a key": lambda csr: ISSUING.for_csr(csr) + ISSUING.key_pem,
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_certificate_that_is_not_its_own_and_good_changes_nothing(agent, hatchery, wrong):
    before = agent.pair
    good = hatchery.rules["renew"]
    hatchery.rules["renew"] = lambda csr, _: Answer(WRONG[wrong](csr))
    done = agent.run("now")
    assert done.returncode == 5, done.stderr
    assert agent.pair == before
    assert agent.left_over == {"pending"}, "the same request is sent again"

    hatchery.asked.clear()
    assert agent.run().returncode == 75
    assert hatchery.asked == [], "but not at each turn of the timer"
    hatchery.rules["renew"] = good
    assert agent.run("now").returncode == 0
    assert agent.pair != before
    assert agent.left_over == set()


def test_a_foreign_certificate_is_not_let_in_by_hatchery_and_the_one_before_is_back(agent, hatchery):
    """Whole as it is: whether its CA is one of Hatchery's is for Hatchery to say."""
    agent.settings["hook"] = 'cat "$HATCHERY_CERT" >"$HOME/hooked"'
    before = agent.pair
    hatchery.rules["renew"] = lambda csr, _: Answer(STRANGER.for_csr(csr) + STRANGER.pem)
    done = agent.run("now")
    assert done.returncode == 5, done.stderr
    assert "the new certificate of door-1 was refused, and the one before is not" in done.stderr
    assert agent.pair == before
    assert (agent.home / "hooked").read_bytes().startswith((agent.folder / "current/cert.pem").read_bytes())


def test_a_foreign_certificate_at_enrollment_is_told_and_no_hook_hears_of_it(agent, hatchery, tmp_path):
    other = Agent(tmp_path, "door-2", {**agent.settings, "folder": str(tmp_path / "other")})
    other.settings["hook"] = 'touch "$HOME/hooked"'
    (tmp_path / "other").mkdir()
    (tmp_path / "other/ca.pem").write_bytes(ROOT.pem)
    hatchery.rules["sign-csr"] = lambda csr, _: Answer(STRANGER.for_csr(csr) + STRANGER.pem)
    done = other.run()
    assert done.returncode == 3, done.stderr
    assert "Hatchery refuses the certificate of door-2" in done.stderr
    assert not (tmp_path / "hooked").exists()


def test_devices_may_have_a_root_that_they_do_not_trust(agent, hatchery):
    hatchery.rules["renew"] = lambda csr, _: Answer(BELOW_NEXT.for_csr(csr) + BELOW_NEXT.pem)
    hatchery.socket.context.load_verify_locations(cadata=NEXT_ROOT.pem.decode())
    done = agent.run("now")
    assert done.returncode == 0, done.stderr
    assert agent.certificate.issuer == BELOW_NEXT.name
    assert (agent.folder / "ca.pem").read_bytes() == ROOT.pem


def refusing(code: str, status: int = 403, **headers: str) -> Answer:
    return Answer(b'{"detail": "No."}', status, {"Hatchery-Reason": code, **headers})


def test_a_refusal_is_told_at_each_run_and_asked_about_again_soon(agent, hatchery):
    allowing = hatchery.rules["renewal-info"]
    hatchery.rules["renewal-info"] = lambda *_: refusing("device_suspended", **{"Retry-After": "300"})
    now = datetime.now(UTC).timestamp()
    done = agent.run()
    assert done.returncode == 3
    assert "Hatchery refuses the certificate of door-1: 403 device_suspended. No." in done.stderr
    assert now + 300 <= agent.state["look_at"][0] <= now + 660
    hatchery.asked.clear()
    done = agent.run()
    assert done.returncode == 3
    assert "403 device_suspended. No.; asks again at" in done.stderr
    assert hatchery.asked == [], "not at each turn of the timer"

    hatchery.rules["renewal-info"] = allowing
    again(agent)
    assert agent.run().returncode == 0
    done = agent.run()
    assert (done.returncode, done.stderr) == (0, ""), "it is refused no more"


def test_however_long_hatchery_wants_it_to_wait_a_refused_device_asks_again_within_two_hours(agent, hatchery):
    hatchery.rules["renewal-info"] = lambda *_: refusing("device_suspended", **{"Retry-After": "999999"})
    now = datetime.now(UTC).timestamp()
    assert agent.run().returncode == 3
    assert now + 3600 <= agent.state["look_at"][0] <= now + 7260


@pytest.mark.parametrize(
    ("asked", "code"),
    [("renewal-info", "certificate_revoked"), ("renew", "certificate_revoked"), ("renew", "name_mismatch")],
)
def test_a_refused_device_takes_a_new_token_at_once(agent, hatchery, asked, code):
    agent.settings["token_file"] = str(agent.home / "token")
    hatchery.rules["renewal-info"] = lambda *_: window(*PAST)
    hatchery.rules[asked] = lambda *_: refusing(code)
    serial = agent.serial
    for _ in range(2):
        done = agent.run()
        assert done.returncode == 3
        assert code in done.stderr
    (agent.home / "token").write_text("another-token")
    done = agent.run()
    assert done.returncode == 0, done.stderr
    assert "enrolling anew with the token that is there" in done.stderr
    assert agent.serial != serial


def test_a_token_that_is_refused_is_not_shown_at_each_turn_of_the_timer(agent, hatchery):
    agent.settings["token_file"] = str(agent.home / "token")
    (agent.home / "token").write_text("stale-token")
    hatchery.rules["renewal-info"] = lambda *_: refusing("certificate_revoked")
    hatchery.rules["sign-csr"] = lambda *_: refusing("token_invalid", 401)
    assert "401 token_invalid" in agent.run().stderr
    hatchery.asked.clear()
    done = agent.run()
    assert done.returncode == 3
    assert "certificate_revoked" in done.stderr
    assert hatchery.asked == []


def test_a_refused_device_that_waits_for_an_approval_sends_the_same_request_again(agent, hatchery):
    agent.settings |= {"token_file": str(agent.home / "token"), "wait": "0"}
    (agent.home / "token").write_text("another-token")
    requests = []

    def wait(csr: bytes, _: int | None) -> Answer:
        requests.append(csr)
        return Answer(status=202, headers={"Location": "/wait", "Retry-After": "30"})

    hatchery.rules |= {"renewal-info": lambda *_: refusing("certificate_revoked"), "sign-csr": wait}
    for _ in range(2):
        assert agent.run().returncode == 75
    assert len(requests) == 2
    assert requests[0] == requests[1]


def test_a_clock_that_is_wrong_is_named_where_a_certificate_is_not_good(agent, hatchery):
    hatchery.rules["renew"] = lambda csr, _: Answer(
        ISSUING.for_csr(csr, begins=timedelta(days=2)) + ISSUING.pem
    )
    said = agent.run("now").stderr
    assert "not yet valid" in said
    assert f"this device's clock says {datetime.now(UTC):%Y-%m-%d}" in said


def test_a_new_certificate_that_is_refused_gives_way_to_the_one_before_if_that_works(agent, hatchery):
    agent.settings["hook"] = 'readlink "$HOME/agent/current" >>"$HOME/hooks"'
    before, serial = agent.pair, agent.serial
    refusal = b'{"detail": "This certificate is \\"unknown\\" here.", "code": "certificate_unknown"}'
    hatchery.rules["secure"] = lambda _, shown: (
        Answer(b"{}") if shown == serial else Answer(refusal, 403, {"Hatchery-Reason": "certificate_unknown"})
    )
    done = agent.run("now")
    assert done.returncode == 5
    assert 'back to that one (403 certificate_unknown. This certificate is "unknown" here.)' in done.stderr
    assert agent.pair == before
    assert len((agent.home / "hooks").read_text().splitlines()) == 1, "only with what works"
    assert agent.run().returncode == 75, "it does not try at each turn of the timer"
    assert agent.pair == before

    hatchery.rules["secure"] = lambda *_: Answer(b"{}")
    assert agent.run("now").returncode == 0
    assert agent.pair != before


def test_a_new_certificate_that_cannot_be_shown_yet_is_shown_next_time_and_the_hook_waits(agent, hatchery):
    agent.settings["hook"] = 'echo >>"$HOME/hooks"'
    before = agent.pair
    hatchery.rules["secure"] = lambda *_: Answer(status=503)
    assert agent.run("now").returncode == 75
    assert agent.pair != before
    assert not (agent.home / "hooks").exists()
    hatchery.rules["secure"] = lambda *_: Answer(b"{}")
    assert agent.run().returncode == 0
    assert (agent.home / "hooks").exists()
    assert len(list((agent.folder / "pairs").iterdir())) == 1


def test_while_hatchery_is_away_it_asks_no_more_often_than_it_asks_as_a_rule(agent, hatchery):
    """After half of what Hatchery said to the whole, at random: so a fleet that is spread stays so."""
    hatchery.rules["renewal-info"] = lambda *_: window(*LATER, **{"Retry-After": "1200"})
    assert agent.run().returncode == 0
    hatchery.rules["renewal-info"] = lambda *_: Answer(status=503)
    state = agent.folder / "current/state"
    waits = set()
    for _ in range(3):
        state.write_text(state.read_text().replace(f"look_at {agent.state['look_at'][0]}", "look_at 0"))
        now = datetime.now(UTC).timestamp()
        assert agent.run().returncode == 75
        waits.add(round(agent.state["look_at"][0] - now))
    assert 599 <= min(waits) < max(waits) <= 1260


def test_a_window_that_is_past_means_now_and_one_that_comes_means_later(agent, hatchery):
    before = agent.pair
    hatchery.rules["renewal-info"] = lambda *_: window(*LATER, **{"Retry-After": "7200"})
    assert agent.run().returncode == 0
    assert agent.pair == before
    (start, end), (chosen,) = agent.state["window"], agent.state["chosen"]
    assert start <= chosen < end
    now = datetime.now(UTC).timestamp()
    assert now + 7100 < agent.state["look_at"][0] <= now + 7200

    state = agent.folder / "current/state"
    state.write_text(state.read_text().replace(f"look_at {agent.state['look_at'][0]}", "look_at 0"))
    hatchery.rules["renewal-info"] = lambda *_: window(*PAST)
    assert agent.run().returncode == 0
    assert agent.pair != before


def test_two_devices_choose_different_moments_and_one_keeps_its_own(agent, hatchery, tmp_path_factory):
    start = datetime.now(UTC)
    fixed = window(*LATER, **{"Retry-After": "60"})
    hatchery.rules["renewal-info"] = lambda *_: fixed
    other = Agent(tmp_path_factory.mktemp("other"), "door-2", dict(agent.settings))
    other.folder.mkdir()
    (other.folder / "ca.pem").write_bytes(ROOT.pem)
    for each in (agent, other, other):
        assert each.run().returncode == 0
    chosen = [each.state["chosen"][0] for each in (agent, other)]
    assert chosen[0] != chosen[1], "one of 86,400 in a row"
    assert min(chosen) > start.timestamp()
    state = other.folder / "current/state"
    state.write_text(state.read_text().replace(f"look_at {other.state['look_at'][0]}", "look_at 0"))
    hatchery.asked.clear()
    assert other.run().returncode == 0
    assert hatchery.asked[0] == "renewal-info"
    assert other.state["chosen"] == [chosen[1]]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(b"{}"), id="none"),
        pytest.param(Answer(b'{"suggestedWindow": {"start": "soon", "end": "later"}}'), id="no moments"),
        pytest.param(window(*reversed(LATER)), id="ends before it begins"),
        pytest.param(Answer(status=404), id="not there"),
        pytest.param(Answer(b"\xff\x00" * 100), id="bytes"),
    ],
)
def test_without_a_window_it_goes_by_the_certificates_life(agent, hatchery, answer):
    hatchery.rules["renewal-info"] = lambda *_: answer
    done = agent.run()
    assert done.returncode == 0, done.stderr
    assert "going by the certificate's life" in done.stderr
    begun, end = agent.certificate.not_valid_before_utc, agent.certificate.not_valid_after_utc
    part = (agent.state["chosen"][0] - begun.timestamp()) / (end - begun).total_seconds()
    assert 2 / 3 <= part < 5 / 6 + 0.01


def test_what_a_wrong_clock_has_written_silences_it_for_a_day_at_most(agent, hatchery):
    assert agent.run().returncode == 0
    (agent.folder / "current/state").write_text(
        "chosen 4000000000\nwindow 4000000000 4000000001\nlook_at 4000000000\nretry_at 4000000000\noffset x\n"
    )
    hatchery.asked.clear()
    assert agent.run().returncode == 0
    assert hatchery.asked[0] == "renewal-info"


def text(version: int, *roots: Authority) -> bytes:
    return b"# Hatchery trust bundle\n# version: %d\n" % version + b"".join(root.pem for root in roots)


@pytest.fixture
def serve_bundle(hatchery, tmp_path):
    def serve(contents: bytes, signer: Authority = ROOT, usage=ExtendedKeyUsageOID.EMAIL_PROTECTION) -> None:
        by = Authority("bundle signer", signer, ca=False, usages=[usage])
        signed = signed_bundle(tmp_path, by, contents, signer)
        hatchery.rules["ca-bundle"] = lambda *_: Answer(signed)

    return serve


def again(agent: Agent) -> None:
    """As if a day had passed since it looked."""
    (agent.folder / "current/state").unlink(missing_ok=True)


def test_a_new_root_comes_by_the_signed_bundle_and_then_it_follows_hatchery_there(
    agent, hatchery, serve_bundle
):
    agent.settings["hook"] = 'echo >>"$HOME/hooks"'
    serve_bundle(text(2, ROOT, NEXT_ROOT))
    done = agent.run()
    assert done.returncode == 0
    assert "trusts version 2 of Hatchery's CAs" in done.stderr
    assert (agent.folder / "ca.pem").read_bytes() == text(2, ROOT, NEXT_ROOT)
    assert (agent.home / "hooks").exists()

    hatchery.rules["renew"] = lambda csr, _: Answer(BELOW_NEXT.for_csr(csr) + BELOW_NEXT.pem)
    # The stand-in's own TLS knows the old root alone, and would refuse in the handshake.
    hatchery.socket.context.load_verify_locations(cadata=NEXT_ROOT.pem.decode())
    assert agent.run("now").returncode == 0
    assert agent.certificate.issuer == BELOW_NEXT.name


def test_after_a_renewal_it_looks_for_a_new_root(agent, hatchery, serve_bundle):
    assert agent.run().returncode == 0
    serve_bundle(text(2, ROOT, NEXT_ROOT))
    assert "trusts version" not in agent.run().stderr, "it has looked today"
    assert agent.run("now").returncode == 0
    assert "trusts version 2" in agent.run().stderr


@pytest.mark.parametrize(
    ("contents", "signer", "words"),
    [
        pytest.param(text(4, ROOT), ROOT, "has version 4, and this device had 5", id="older"),
        pytest.param(text(6, ROOT, STRANGER), STRANGER, "is signed by nobody whom", id="a stranger's"),
        pytest.param(
            text(6, NEXT_ROOT), ROOT, "Hatchery itself is not good under", id="without its own root"
        ),
        pytest.param(text(6, ROOT) + b"Hello\n", ROOT, "is not comments and certificates", id="with text"),
        pytest.param(text(6), ROOT, "is not comments and certificates", id="empty"),
    ],
)
def test_a_bundle_that_is_older_a_strangers_or_useless_changes_nothing(
    agent, serve_bundle, contents, signer, words
):
    serve_bundle(text(5, ROOT))
    assert agent.run().returncode == 0
    again(agent)
    serve_bundle(contents, signer)
    done = agent.run()
    assert done.returncode == 0, "the device itself is well"
    assert words in done.stderr
    assert (agent.folder / "ca.pem").read_bytes() == text(5, ROOT)


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH])
def test_a_bundle_that_another_device_or_a_listener_signed_changes_nothing(agent, serve_bundle, usage):
    serve_bundle(text(9, ROOT, STRANGER), usage=usage)
    assert "is signed by nobody whom" in agent.run().stderr
    assert (agent.folder / "ca.pem").read_bytes() == ROOT.pem


def test_it_asks_for_the_signature_below_its_own_root(agent, hatchery):
    """A bundle has one for each root, and who trusts one of them alone can check no other."""
    queries = []
    hatchery.rules["ca-bundle"] = lambda *_: queries.append(hatchery.query) or Answer(status=404)
    agent.run()
    fingerprint = ROOT.certificate.fingerprint(hashes.SHA256()).hex(":").upper()
    assert queries == [f"root={fingerprint}"]


def test_it_asks_below_each_of_its_roots_until_one_has_signed(agent, hatchery, tmp_path):
    """Not each need be one that signs: devices may have a root of their own in the file too."""
    (agent.folder / "ca.pem").write_bytes(b"# Two\n" + STRANGER.pem + b"# and\n" + ROOT.pem)
    asked = {
        each: each.certificate.fingerprint(hashes.SHA256()).hex(":").upper() for each in (ROOT, STRANGER)
    }
    queries = []

    def answer(*_):
        queries.append(hatchery.query)
        above = ROOT if hatchery.query == f"root={asked[ROOT]}" else NEXT_ROOT
        by = Authority("bundle signer", above, ca=False, usages=[ExtendedKeyUsageOID.EMAIL_PROTECTION])
        return Answer(signed_bundle(tmp_path, by, text(2, ROOT, NEXT_ROOT), above))

    hatchery.rules["ca-bundle"] = answer
    assert "trusts version 2 of Hatchery's CAs" in agent.run().stderr
    # Then it asks whether Hatchery is good under what it took.
    assert queries[:2] == [f"root={asked[STRANGER]}", f"root={asked[ROOT]}"]
    assert (agent.folder / "ca.pem").read_bytes() == text(2, ROOT, NEXT_ROOT)


@pytest.mark.parametrize("known", [(ROOT,), (ROOT, ISSUING)], ids=["its root", "its root and itself"])
def test_whoever_has_an_issuing_ca_signs_no_bundle(agent, serve_bundle, known):
    """With the signer that it can make itself, for mail, and a whole chain to a root of the device's."""
    ours = b"".join(each.pem for each in known)
    (agent.folder / "ca.pem").write_bytes(ours)
    serve_bundle(text(9, ROOT, STRANGER), ISSUING)
    done = agent.run()
    assert done.returncode == 0, "the device itself is well"
    assert "is signed by nobody whom a root in" in done.stderr
    assert (agent.folder / "ca.pem").read_bytes() == ours


def test_a_bundle_that_nobody_signed_changes_nothing(agent, hatchery):
    hatchery.rules["ca-bundle"] = lambda *_: Answer(text(9, ROOT, STRANGER))
    assert "is signed by nobody whom" in agent.run().stderr
    assert (agent.folder / "ca.pem").read_bytes() == ROOT.pem
