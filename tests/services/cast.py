"""The cast of these tests: devices with keys of their own, tokens for them, a look at all that is stored."""

import re
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.apps import apps
from django.db import connection

from pki.core import csr
from pki.core.errors import Refusal
from pki.models import Certificate, Device, EnrollmentRequest, Issuer, Profile, Responder
from pki.services.audit import Actor
from pki.services.enrolling import enrollment, tokens
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.publishing import responders
from pki.services.publishing.known_issuers import KnownIssuer
from tests.clients import make_csr

ADDRESS = "192.0.2.7"
ELSEWHERE = "198.51.100.9"
TESTER = Actor("shell:test")


@dataclass
class Gadget:
    """A device as it stands in the field: a name, and a key that nobody else has."""

    name: str | None = None
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def csr(self) -> bytes:
        return make_csr(self.name, key=self.key)

    def enroll(self, secret: str | None, now: datetime, *, address: str = ADDRESS) -> Any:
        return enrollment.enroll(self.csr, secret, address, now)


def registered(name: str, now: datetime) -> Device:
    return devices.register(name, devices.default_profile(), TESTER, now)


def token_for(device: Device, now: datetime, **options: Any) -> str:
    secret, _ = tokens.make(TESTER, now, device.profile, device=device, **options)
    return secret


def pattern_token(pattern: str, now: datetime, **options: Any) -> str:
    secret, _ = tokens.make(TESTER, now, devices.default_profile(), name_pattern=pattern, **options)
    return secret


def uses_of(secret: str) -> int:
    return tokens.EnrollmentToken.objects.get(digest=tokens.digest(secret)).uses


def issue(device: Device, now: datetime) -> Certificate:
    """A certificate as `manage.py issue` gives it, for a new key."""
    issued, _ = issuance.issue(device, csr.verify(Gadget(device.name).csr), TESTER, now)
    return issued.certificate


def responder_of(issuer: Issuer, now: datetime) -> Responder:
    """The OCSP responder of an issuer, as the first question makes it."""
    return responders.RESPONDERS.of(KnownIssuer(issuer.pk, issuer.fingerprint, issuer.not_after), now)


def set_policy(policy: Profile.Policy) -> None:
    Profile.objects.filter(name=devices.DEFAULT_PROFILE).update(enrollment_policy=policy)


def change_state(device: Device, state: Device.State, now: datetime) -> None:
    devices.change_state(Device.objects.get(pk=device.pk), state, TESTER, now)


def device_certificates() -> list[Certificate]:
    """All but the listeners' own."""
    return list(Certificate.objects.exclude(device=None))


def refused() -> list[EnrollmentRequest]:
    return list(EnrollmentRequest.objects.filter(state=EnrollmentRequest.State.REFUSED))


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of every table; two of these that are equal mean that nothing was changed."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models(include_auto_created=True)
        if model._meta.label != "sessions.Session"
    }


def statements(queries: Iterable[dict[str, str]]) -> list[tuple[str, str]]:
    """What was done to which table, in order, without the locks and transactions around it."""
    done = (re.match(r'(SELECT|INSERT|UPDATE|DELETE)\b.*?"pki_(\w+)"', each["sql"]) for each in queries)
    return [(match[1], match[2]) for match in done if match]


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run the jobs in as many threads, started together; what each returned, or how it was refused."""
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        try:
            start.wait(timeout=10)
            return job()
        except Refusal as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def serials(outcomes: list[Any]) -> set[str]:
    """The serials of what was issued among outcomes."""
    return {outcome.certificate.serial for outcome in outcomes if isinstance(outcome, Issued)}


DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
