"""Enrollment under the policy `token`: what a token opens, what it does not, and what spends it."""

from base64 import urlsafe_b64decode
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.core import csr, keys, names, profiles
from pki.models import AuditEvent, Certificate, Device, EnrollmentRequest, EnrollmentToken, Issuer, Profile
from pki.services.enrolling import enrollment, lost_answers, tokens
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.proving.status import CompromisedIssuer
from pki.services.revoking import revocation
from tests.clients import make_csr
from tests.services.campaigns.cast import under_another_root
from tests.services.cast import (
    ADDRESS,
    DAY,
    SECOND,
    TESTER,
    Gadget,
    change_state,
    device_certificates,
    pattern_token,
    refused,
    registered,
    set_policy,
    statements,
    token_for,
    uses_of,
)

pytestmark = pytest.mark.usefixtures("ca")


@pytest.fixture
def door(ca, now):
    return registered("door-1", now)


# --- What a token opens ---------------------------------------------------------------------------


@pytest.mark.parametrize("common_name", ["door-1", None], ids=["its name as CN", "no CN"])
def test_a_token_for_a_device_gets_that_device_its_certificate(door, now, common_name):
    gadget = Gadget(common_name)
    issued = gadget.enroll(token_for(door, now), now)
    assert issued.certificate.device == door
    assert issued.certificate.common_name == "door-1"
    assert issued.certificate.parsed.public_key() == gadget.key.public_key()


def test_what_is_sent_is_the_certificate_and_the_chain_below_the_root(door, now):
    issued = Gadget("door-1").enroll(token_for(door, now), now)
    leaf, issuing = issued.certificate.parsed, Issuer.objects.get(parent__isnull=False)
    assert issued.pem.count(b"BEGIN CERTIFICATE") == 2
    assert issued.chain == [issuing.certificate]
    leaf.verify_directly_issued_by(issued.chain[0])


def test_an_enrollment_is_kept_with_its_token_its_certificate_and_its_address(door, now):
    secret = token_for(door, now)
    issued = Gadget("door-1").enroll(secret, now)
    request = EnrollmentRequest.objects.get(certificate=issued.certificate)
    assert request.state == EnrollmentRequest.State.ISSUED
    assert request.token == tokens.find(secret, now)
    assert (request.device, request.name, request.address) == (door, "door-1", ADDRESS)


def test_a_pattern_token_makes_the_device_under_the_tokens_profile(now):
    special = Profile.objects.create(
        name="special",
        issuer=devices.default_profile().issuer,
        extended_key_usages=["clientAuth"],
    )
    secret, _ = tokens.make(TESTER, now, special, name_pattern="door-*")
    issued = Gadget("door-77").enroll(secret, now)
    assert issued.certificate.device == Device.objects.get(name="door-77", profile=special)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("door-*", "door-1", True),
        ("door-*", "door-", False),  # a device's name does not end in a hyphen
        ("door-*", "Door-1", False),
        ("door-*", "front-door-1", False),
        ("door-?", "door-1", True),
        ("door-?", "door-12", False),
        ("door-1", "door-1", True),
        ("*", "anything.at-all", True),
    ],
)
def test_a_pattern_token_is_for_names_of_its_pattern(now, pattern, name, fits):
    secret = pattern_token(pattern, now)
    if fits:
        assert Gadget(name).enroll(secret, now).certificate.common_name == name
    else:
        with pytest.raises((tokens.NameNotAllowed, names.NameRefused)):
            Gadget(name).enroll(secret, now)
        assert not Device.objects.filter(name=name).exists()


def test_a_pattern_token_never_takes_over_an_existing_devices_name(door, now):
    secret = pattern_token("door-*", now)
    with pytest.raises(devices.DeviceExists):
        Gadget("door-1").enroll(secret, now)
    assert device_certificates() == []
    assert uses_of(secret) == 0


def test_a_token_is_good_for_as_many_keys_as_it_has_uses(now):
    secret = pattern_token("door-*", now, uses=3)
    made = [Gadget(f"door-{number}").enroll(secret, now).certificate for number in range(3)]
    assert len({certificate.pk for certificate in made}) == 3
    with pytest.raises(tokens.TokenInvalid):
        Gadget("door-3").enroll(secret, now)
    assert uses_of(secret) == 3


def test_a_token_works_until_it_expires_and_not_from_then_on(door, now):
    secret = token_for(door, now, uses=2, lifetime=DAY)
    assert Gadget().enroll(secret, now + DAY - SECOND)
    with pytest.raises(tokens.TokenInvalid):
        Gadget().enroll(secret, now + DAY)


def test_a_cancelled_token_is_over_but_what_it_gave_stays_good(door, now):
    secret = token_for(door, now, uses=2)
    issued = Gadget().enroll(secret, now)
    tokens.cancel(tokens.find(secret, now), TESTER, now)
    with pytest.raises(tokens.TokenInvalid):
        Gadget().enroll(secret, now)
    assert list(revocation.living(door, now)) == [issued.certificate]


def test_cancelling_twice_is_one_event(door, now):
    _, token = tokens.make(TESTER, now, door.profile, device=door)
    tokens.cancel(token, TESTER, now)
    tokens.cancel(token, TESTER, now + DAY)
    assert EnrollmentToken.objects.get(pk=token.pk).cancelled_at == now
    assert AuditEvent.objects.filter(kind="token.cancelled").count() == 1


# --- What it does not -----------------------------------------------------------------------------


def test_without_a_token_a_stranger_cannot_tell_whether_a_device_exists(door, now):
    answers = []
    for name in ("door-1", "nobody-has-this-name", None):
        with pytest.raises(tokens.TokenMissing) as missing:
            Gadget(name).enroll(None, now)
        answers.append(missing.value.detail)
    assert len(set(answers)) == 1


def test_the_answer_to_a_bad_token_does_not_tell_why_it_is_bad(door, now):
    used_up, expired, cancelled = token_for(door, now), token_for(door, now - 2 * DAY), token_for(door, now)
    Gadget().enroll(used_up, now)
    tokens.cancel(tokens.find(cancelled, now), TESTER, now)
    answers = set()
    for secret in (used_up, expired, cancelled, "hatch_never-made", ""):
        with pytest.raises(tokens.TokenInvalid) as invalid:
            Gadget().enroll(secret, now)
        answers.add((invalid.value.code, invalid.value.detail))
    assert len(answers) == 1


def rsa_1024():
    return rsa.generate_private_key(65537, 1024)  # noqa: S505  what is refused


REFUSED_WITH_A_BOUND_TOKEN = {
    "another device's name": (lambda: make_csr("door-2"), profiles.NameMismatch),
    "a name that is none": (lambda: make_csr("door 1"), names.NameRefused),
    "a short RSA key": (lambda: make_csr("door-1", key=rsa_1024()), keys.KeyRefused),
    "a curve that is not certified": (
        lambda: make_csr("door-1", key=ec.generate_private_key(ec.SECP521R1())),
        keys.KeyRefused,
    ),
    "nothing": (lambda: b"", csr.CsrMissing),
    "half a CSR": (lambda: make_csr("door-1")[:200], csr.CsrMalformed),
}


@pytest.mark.parametrize(
    ("pem", "refusal"), REFUSED_WITH_A_BOUND_TOKEN.values(), ids=REFUSED_WITH_A_BOUND_TOKEN
)
def test_a_failed_attempt_does_not_spend_a_devices_token(door, now, pem, refusal):
    secret = token_for(door, now)
    with pytest.raises(refusal):
        enrollment.enroll(pem(), secret, ADDRESS, now)
    assert uses_of(secret) == 0
    assert Gadget("door-1").enroll(secret, now).certificate.device == door


REFUSED_WITH_A_PATTERN_TOKEN = {
    "no CN": (None, enrollment.NameMissing),
    "a name outside the pattern": ("window-1", tokens.NameNotAllowed),
    "the name of a device on record": ("door-1", devices.DeviceExists),
}


@pytest.mark.parametrize(
    ("common_name", "refusal"), REFUSED_WITH_A_PATTERN_TOKEN.values(), ids=REFUSED_WITH_A_PATTERN_TOKEN
)
def test_a_failed_attempt_does_not_spend_a_pattern_token(door, now, common_name, refusal):
    secret = pattern_token("door-*", now)
    with pytest.raises(refusal):
        Gadget(common_name).enroll(secret, now)
    assert uses_of(secret) == 0
    assert Gadget("door-2").enroll(secret, now).certificate.common_name == "door-2"


def test_a_key_kind_that_the_profile_forbids_leaves_neither_a_device_nor_a_spent_token(now):
    Profile.objects.filter(name="device").update(key_kinds=["RSA"])
    secret = pattern_token("door-*", now)
    with pytest.raises(profiles.KeyKindRefused):
        Gadget("door-9").enroll(secret, now)
    assert uses_of(secret) == 0
    assert not Device.objects.filter(name="door-9").exists()


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_device_that_is_not_active_is_refused_and_keeps_its_token(door, now, state):
    secret = token_for(door, now)
    change_state(door, state, now)
    with pytest.raises(issuance.DeviceInactive, match=state):
        Gadget().enroll(secret, now)
    assert uses_of(secret) == 0
    assert refused()[0].code == "device_inactive"


@pytest.mark.parametrize("kind", ["a device's", "a pattern's"])
def test_an_issuer_below_a_compromised_root_signs_nothing(door, now, kind):
    secret = token_for(door, now) if kind == "a device's" else pattern_token("door-*", now)
    Issuer.objects.filter(parent=None).update(state=Issuer.State.COMPROMISED)
    with pytest.raises(issuance.IssuerInactive, match="below the compromised"):
        Gadget("door-1" if kind == "a device's" else "door-2").enroll(secret, now)
    assert uses_of(secret) == 0
    assert refused()[0].code == "issuer_inactive"


def test_that_the_root_stands_is_asked_with_no_query_of_its_own(door, now):
    Gadget().enroll(token_for(door, now), now)
    secret = token_for(door, now)
    with CaptureQueriesContext(connection) as queries:
        Gadget().enroll(secret, now)
    assert not [query["sql"] for query in queries if 'FROM "pki_issuer"' in query["sql"]]


@pytest.mark.parametrize("kind", ["a device's", "a pattern's"])
def test_an_enrollment_costs_no_more_statements_than_it_must(door, now, kind):
    """Each costs as much CPU as a twentieth of all; see docs/performance.md."""
    secret = token_for(door, now, uses=2) if kind == "a device's" else pattern_token("*", now, uses=2)
    names = ["door-1", "door-1"] if kind == "a device's" else ["door-2", "door-3"]
    Gadget(names[0]).enroll(secret, now)
    with CaptureQueriesContext(connection) as queries:
        Gadget(names[1]).enroll(secret, now)
    registering = [("INSERT", "device"), ("INSERT", "auditevent")]
    assert statements(queries) == [
        ("SELECT", "enrollmenttoken"),  # with its device, its profile and its issuers
        ("UPDATE", "enrollmenttoken"),
        *([] if kind == "a device's" else registering),
        ("SELECT", "certificate"),  # of this key
        ("INSERT", "certificate"),
        ("INSERT", "auditevent"),
        ("SELECT", "crosscertificate"),
        ("INSERT", "enrollmentrequest"),
    ]


def test_a_device_that_changed_its_profile_since_is_given_its_own_not_its_tokens(door, now):
    secret = token_for(door, now)
    other = Profile.objects.get(pk=door.profile_id)
    other.pk, other.name, other.lifetime_seconds = None, "short", 600
    other.save(force_insert=True)
    Device.objects.filter(pk=door.pk).update(profile=other)
    issued = Gadget("door-1").enroll(secret, now).certificate
    assert issued.profile == other
    assert issued.not_after < now + timedelta(seconds=601)


@pytest.mark.parametrize("state", [Issuer.State.RETIRED, Issuer.State.COMPROMISED])
def test_an_issuer_that_is_not_active_signs_nothing(door, now, state):
    secret = token_for(door, now)
    Issuer.objects.filter(profiles=door.profile).update(state=state)
    with pytest.raises(issuance.IssuerInactive):
        Gadget().enroll(secret, now)
    assert device_certificates() == []
    assert uses_of(secret) == 0


@pytest.mark.parametrize("policy", [Profile.Policy.APPROVAL, Profile.Policy.OPEN])
def test_a_token_is_judged_under_every_policy(door, now, policy):
    set_policy(policy)
    with pytest.raises(tokens.TokenInvalid):
        Gadget("door-1").enroll("hatch_never-made", now)
    assert isinstance(Gadget("door-1").enroll(token_for(door, now), now), Issued)


def test_a_key_that_was_revoked_as_compromised_gets_no_certificate_again(door, now):
    gadget, secret = Gadget("door-1"), token_for(door, now)
    issued = gadget.enroll(token_for(door, now), now)
    revocation.revoke([issued.certificate], revocation.Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(issuance.KeyCompromised):
        gadget.enroll(secret, now)
    assert uses_of(secret) == 0
    assert Gadget("door-1").enroll(secret, now).certificate.device == door, "another key of it may"


def test_a_key_that_was_revoked_for_another_reason_may_enroll_again(door, now):
    gadget = Gadget("door-1")
    issued = gadget.enroll(token_for(door, now), now)
    revocation.revoke([issued.certificate], revocation.Revocation.Reason.SUPERSEDED, TESTER, now)
    assert gadget.enroll(token_for(door, now), now).certificate != issued.certificate


@pytest.mark.parametrize("kind", ["bound", "pattern"])
def test_a_key_that_another_device_has_gets_no_certificate(door, now, kind):
    gadget = Gadget("door-1")
    gadget.enroll(token_for(door, now), now)
    gadget.name = "door-2"
    secret = token_for(registered("door-2", now), now) if kind == "bound" else pattern_token("*", now)
    if kind == "pattern":
        gadget.name = "door-3"
    with pytest.raises(issuance.KeyInUse):
        gadget.enroll(secret, now)
    assert uses_of(secret) == 0
    assert not Device.objects.filter(name="door-3").exists()


# --- Making tokens --------------------------------------------------------------------------------


UNFIT = {
    "for nobody": {},
    "no uses": {"name_pattern": "*", "uses": 0},
    "fewer than no uses": {"name_pattern": "*", "uses": -1},
    "uses beyond counting": {"name_pattern": "*", "uses": 1_000_001},
    "no life": {"name_pattern": "*", "lifetime": 0 * DAY},
    "more than a year": {"name_pattern": "*", "lifetime": 365 * DAY + SECOND},
    "an impossible pattern": {"name_pattern": "door [1-9]"},
    "a pattern that is too long": {"name_pattern": "d" * 65},
}


@pytest.mark.parametrize("options", UNFIT.values(), ids=UNFIT)
def test_a_token_that_makes_no_sense_is_not_made(now, options):
    with pytest.raises((tokens.TokenUnfit, names.NameRefused)):
        tokens.make(TESTER, now, devices.default_profile(), **options)
    assert not EnrollmentToken.objects.exists()


def test_a_token_is_not_for_a_device_and_a_pattern_at_once(door, now):
    with pytest.raises(tokens.TokenUnfit):
        tokens.make(TESTER, now, door.profile, device=door, name_pattern="door-*")


def test_no_two_tokens_are_alike_and_only_a_digest_is_kept(now):
    """Each has 256 bits; none begins or ends as another does, as those of a counter or a clock would."""
    secrets = {pattern_token("*", now) for _ in range(20)}
    assert len({secret[:12] for secret in secrets}) == len({secret[-6:] for secret in secrets}) == 20
    written = {secret.removeprefix(tokens.PREFIX) for secret in secrets}
    assert {len(urlsafe_b64decode(f"{each}=")) for each in written} == {256 // 8}
    stored = str(list(EnrollmentToken.objects.values())) + str(list(AuditEvent.objects.values()))
    assert not [secret for secret in secrets if secret in stored]


# --- A lost answer --------------------------------------------------------------------------------


@pytest.mark.parametrize("uses", [1, 3], ids=["used up by it", "uses left"])
@pytest.mark.parametrize("kind", ["bound", "pattern"])
def test_a_lost_answer_heals(door, now, kind, uses):
    secret = token_for(door, now, uses=uses) if kind == "bound" else pattern_token("*", now, uses=uses)
    gadget = Gadget("door-1" if kind == "bound" else "door-2")
    first = gadget.enroll(secret, now)
    again = gadget.enroll(secret, now + SECOND)
    assert again.pem == first.pem
    assert device_certificates() == [first.certificate]
    assert EnrollmentRequest.objects.count() == 1
    assert AuditEvent.objects.filter(kind="certificate.issued", device__isnull=False).count() == 1
    assert uses_of(secret) == 1


def test_a_lost_answer_never_heals_with_a_certificate_of_a_lost_issuer(door, now):
    secret, gadget = token_for(door, now, uses=3), Gadget("door-1")
    gadget.enroll(secret, now)
    Issuer.objects.filter(parent=None).update(state=Issuer.State.COMPROMISED)
    door.profile.issuer = under_another_root(now)
    door.profile.save()
    with pytest.raises(CompromisedIssuer, match="ask for a new token"):
        gadget.enroll(secret, now)
    again = gadget.enroll(token_for(door, now), now)
    assert again.certificate.issuer == door.profile.issuer, "also for the key that it has"


def test_a_lost_answer_heals_for_a_new_csr_of_the_same_key(door, now):
    secret, gadget = token_for(door, now), Gadget("door-1")
    first = gadget.enroll(secret, now)
    gadget.name = None
    assert gadget.enroll(secret, now).certificate == first.certificate


@pytest.mark.parametrize("kind", ["bound", "pattern"])
def test_a_lost_answer_heals_though_nothing_could_be_signed_any_more(door, now, kind):
    secret = token_for(door, now, uses=3) if kind == "bound" else pattern_token("*", now, uses=3)
    gadget = Gadget("door-1" if kind == "bound" else "door-2")
    first = gadget.enroll(secret, now)
    Issuer.objects.filter(profiles=door.profile).update(state=Issuer.State.RETIRED)
    assert gadget.enroll(secret, now + SECOND).pem == first.pem
    assert uses_of(secret) == 1
    assert refused() == []


def test_a_lost_answer_does_not_heal_for_another_key(door, now):
    secret = token_for(door, now)
    Gadget("door-1").enroll(secret, now)
    with pytest.raises(tokens.TokenInvalid):
        Gadget("door-1").enroll(secret, now)


def test_a_lost_answer_does_not_heal_under_another_token(door, now):
    gadget = Gadget("door-1")
    first = gadget.enroll(token_for(door, now), now)
    second = gadget.enroll(token_for(door, now), now)
    assert second.certificate != first.certificate


def test_a_lost_answer_does_not_heal_once_the_token_has_expired(door, now):
    secret, gadget = token_for(door, now, lifetime=DAY), Gadget("door-1")
    gadget.enroll(secret, now)
    with pytest.raises(tokens.TokenInvalid):
        gadget.enroll(secret, now + DAY)


def test_a_lost_answer_does_not_heal_under_another_name(now):
    secret, gadget = pattern_token("*", now, uses=2), Gadget("door-1")
    gadget.enroll(secret, now)
    gadget.name = "door-2"
    with pytest.raises(tokens.NameNotAllowed):
        gadget.enroll(secret, now)
    assert not Device.objects.filter(name="door-2").exists()


def test_a_lost_answer_does_not_bring_a_revoked_certificate_back(door, now):
    secret, gadget = token_for(door, now), Gadget("door-1")
    issued = gadget.enroll(secret, now)
    revocation.revoke([issued.certificate], revocation.Revocation.Reason.KEY_COMPROMISE, TESTER, now)
    with pytest.raises(lost_answers.CertificateRevoked):
        gadget.enroll(secret, now)
    assert device_certificates() == [issued.certificate]


@pytest.mark.parametrize("state", [Device.State.SUSPENDED, Device.State.RETIRED])
def test_a_lost_answer_does_not_heal_for_a_device_that_is_not_active(door, now, state):
    secret, gadget = token_for(door, now), Gadget("door-1")
    gadget.enroll(secret, now)
    change_state(door, state, now)
    with pytest.raises(issuance.DeviceInactive):
        gadget.enroll(secret, now)


def test_a_lost_answer_never_heals_with_a_certificate_that_has_expired(door, now):
    secret, gadget = token_for(door, now, lifetime=365 * DAY, uses=2), Gadget("door-1")
    first = gadget.enroll(secret, now)
    later = first.certificate.not_after + DAY
    try:
        answer = gadget.enroll(secret, later)
    except csr.Refusal:
        return
    assert answer.certificate.not_after > later


def test_enrolling_again_leaves_the_earlier_certificate_standing(door, now):
    secret = token_for(door, now, uses=2)
    first, second = Gadget().enroll(secret, now), Gadget().enroll(secret, now)
    assert set(Certificate.objects.filter(device=door)) == {first.certificate, second.certificate}
    assert revocation.living(door, now).count() == 2
