"""A clock that jumps back or forth and is set right again: what is issued, what is kept, who waits for what.

CRLs: test_publication.py. OCSP: test_ocsp_answers.py, test_responders.py. Campaigns: campaigns/test_clock.py.
Limits: test_limits.py. Logins: console/test_lockout.py. Maintenance and warnings: test_maintenance.py,
test_expiry_watch.py, test_from_audit.py.
"""

from datetime import timedelta

import pytest

from pki.core import audit_proof
from pki.models import AuditEvent, Certificate, EnrollmentToken, Issuer
from pki.services import maintenance
from pki.services.auditing import sealing, verifying
from pki.services.issuing.issuance import IssuerNotYetValid
from tests.services.cast import DAY, Gadget, pattern_token, uses_of

pytestmark = pytest.mark.usefixtures("ca")

SECOND = timedelta(seconds=1)
YEARS = timedelta(days=20 * 365)
BEFORE_THE_ISSUER = {"to its first second": timedelta(0), "an hour": timedelta(hours=1), "20 years": YEARS}


def enrolled(name, secret, now):
    return Gadget(name).enroll(secret, now).certificate


@pytest.mark.parametrize("back", BEFORE_THE_ISSUER.values(), ids=BEFORE_THE_ISSUER)
def test_nothing_is_issued_for_a_time_before_the_issuers_and_no_token_is_used_up(now, back):
    issuer = Issuer.objects.get(parent__isnull=False)
    secret = pattern_token("*", now)
    stepped = issuer.not_before - back - SECOND
    gadget = Gadget("door-1")
    with pytest.raises(IssuerNotYetValid, match="set the server's clock"):
        gadget.enroll(secret, stepped)
    assert uses_of(secret) == 0
    assert gadget.enroll(secret, now).certificate.not_before >= issuer.not_before


@pytest.mark.parametrize("step", [-timedelta(minutes=4), timedelta(hours=12), 30 * DAY])
def test_the_order_of_the_audit_trail_is_that_of_its_numbers_whatever_the_clock_does(now, step):
    secret = pattern_token("*", now, uses=3, lifetime=60 * DAY)
    for number, at in enumerate((now, now + step, now)):
        enrolled(f"door-{number}", secret, at)
        sealing.seal(at)
    issued = AuditEvent.objects.filter(kind="certificate.issued", device__isnull=False).order_by("pk")
    assert [event.device.name for event in issued] == ["door-0", "door-1", "door-2"]
    assert [event.at for event in issued] == [now, now + step, now]
    checker = verifying.checked([], now)
    assert checker.number_of_faults == 0, [*audit_proof.verdict(checker)]


def test_a_maintenance_that_ran_20_years_ahead_leaves_what_devices_need(
    now, certificate_of_a_device, settings
):
    """What it did by its clock stays done: warnings. What was good is good."""
    certificate, secret = certificate_of_a_device
    before = {model: model.objects.count() for model in (Certificate, Issuer, EnrollmentToken, AuditEvent)}
    assert [*maintenance.run(lambda: now + YEARS)]
    for model, number in before.items():
        assert model.objects.count() >= number, model
    assert [*maintenance.run(lambda: now)]
    assert enrolled("door-2", secret, now).not_after > now
    assert Certificate.objects.get(pk=certificate.pk).not_after > now


@pytest.fixture
def certificate_of_a_device(now):
    secret = pattern_token("*", now, uses=2)
    return enrolled("door-1", secret, now), secret
