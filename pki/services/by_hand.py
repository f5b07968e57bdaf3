"""Issuing by hand: an administrator looks at what would come of it, and then has it done.

Nobody knocks, so there is no enrollment request: the audit trail says who issued what for whom. A row
among the requests would also let anybody who has the CSR fetch the certificate as a lost answer.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from pki.core import certificates, csr, file_passwords, keys, names
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.profiles import Grant, Outcome, Record, require_key_kind, weigh, weigh_record
from pki.models import Certificate, Device, EnrollmentRequest, Issuer, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.exporting import identities, profile_signing, subjects
from pki.services.exporting.files import File
from pki.services.exporting.identities import Above, Container
from pki.services.fleet import devices
from pki.services.issuing import issuance
from pki.services.issuing.issuance import Issued
from pki.services.revoking import revocation
from pki.services.transactions import one_at_a_time, writing

_MOST_SHOWN = 5


class Stale(Refusal):
    """What was looked at is no longer what would be issued."""

    code = "preview_stale"

    def __init__(self) -> None:
        super().__init__("Something has changed since you looked; look again.")


class IssuedBefore(Refusal):
    """What was looked at was issued already: the button was pressed twice."""

    code = "issued_before"

    def __init__(self, certificate: Certificate) -> None:
        super().__init__("This was issued already; here is the certificate.")
        self.certificate = certificate


@dataclass(frozen=True)
class Holder:
    """For whom: the device of this name, or with a profile a new one that gets this record."""

    name: str
    profile: Profile | None = None
    subject: Mapping[str, str] = field(default_factory=dict)
    sans: Sequence[str] = ()


@dataclass(frozen=True)
class Preview:
    """What would come of issuing now."""

    name: str
    device: Device | None  # none: it is made with its certificate
    profile: Profile
    issuer: Issuer  # who would sign
    request: VerifiedRequest | None  # none: the key is made here
    key: str  # its kind, as `keys.describe` writes it
    outcome: Outcome | None  # none: the device's record is malformed
    validity: tuple[datetime, datetime] | None  # UTC; none: the issuer has expired
    refusals: tuple[Refusal, ...]
    standing: tuple[Certificate, ...]  # of the device, the newest first, a few of them at most
    waiting: EnrollmentRequest | None  # one for the same key, in the inbox
    mark: str  # of all that an administrator agrees to; another one means: look again
    newest: Certificate | None  # of the device
    mark_before_newest: str

    @property
    def is_cut_short(self) -> bool:
        """Whether the issuer ends sooner than the profile's lifetime."""
        return self.validity is not None and self.validity[1] == self.issuer.not_after


def preview(holder: Holder, key: VerifiedRequest | str, now: datetime) -> Preview:
    """What would come of issuing for `holder`, with every refusal and not only the first; writes nothing.

    `key` is a request, or the kind of a key that is to be made here (see `keys.SPECS`; empty for the
    profile's usual one). Raises devices.DeviceUnknown or keys.KeyRefused.
    """
    request = key if isinstance(key, VerifiedRequest) else None
    device, profile, refusals = _holder(holder)
    described = keys.describe(request.key) if request else str(key) or _usual_spec(profile)
    outcome = None
    try:
        record = _record(holder, device)
    except names.NameRefused as refusal:
        refusals.append(refusal)
    else:
        outcome = weigh(profile.rules, record, request) if request else weigh_record(profile.rules, record)
        refusals += outcome.refusals
    refusals += _refused_key(profile, device, request, described)
    validity = None
    issuer = device.next_issuer(now) if device else profile.issuer
    try:
        issuance.require_active_issuer(issuer)
        validity = certificates.validity(profile.lifetime, now, issuer.certificate)
    except Refusal as refusal:
        refusals.append(refusal)

    newest = _newest(holder.name)
    facts = _facts(holder.name, profile, issuer, request, described, outcome)
    return Preview(
        name=holder.name,
        device=device,
        profile=profile,
        issuer=issuer,
        request=request,
        key=described,
        outcome=outcome,
        validity=validity,
        refusals=tuple(refusals),
        standing=tuple(revocation.living(device, now).order_by("-pk")[:_MOST_SHOWN]) if device else (),
        waiting=_waiting(request) if request else None,
        mark=_mark(facts, newest[:1]),
        newest=newest[0] if newest else None,
        mark_before_newest=_mark(facts, newest[1:]),
    )


def issue(
    holder: Holder, request: VerifiedRequest, actor: Actor, now: datetime, *, mark: str | None = None
) -> tuple[Issued, Grant]:
    """Issue for `holder` what `request` asks for; a new device is registered in the same transaction.

    `mark` is that of the preview which somebody agreed to; without one nobody looked, as in the shell.
    Raises Stale, IssuedBefore, or the first refusal of the preview.
    """
    with writing():
        _wait_for_turn(holder)
        return _issue(holder, _confirmed(preview(holder, request, now), mark), request, actor, now)


@sensitive_variables("password", "key")
def issue_with_key(
    holder: Holder,
    spec: str,
    container: Container,
    password: str,
    actor: Actor,
    now: datetime,
    *,
    above: Above = Above.CHAIN,
    mark: str | None = None,
) -> tuple[Issued, File]:
    """Make a key of kind `spec` and a certificate for it, and put both into a file under `password`.

    The file is returned here and nowhere else; the key is not kept. Raises PasswordRefused, and as `issue`;
    for a configuration profile also NoProfileSigner.
    """
    file_passwords.check(password)
    if container is Container.MOBILECONFIG:
        profile_signing.signer(now)  # else there would be a certificate, and no file for its key
    # Looked at before a key is made, which can take seconds, and again once nobody else writes.
    look = _confirmed(preview(holder, spec, now), mark)
    key = keys.generate(look.key)
    request = csr.made(key, look.name)
    with writing():
        _wait_for_turn(holder)
        look = _confirmed(preview(holder, spec, now), mark)
        issued, _ = _issue(holder, look, request, actor, now)
        audit.record(
            "certificate.key_made",
            actor,
            now,
            device=issued.certificate.device,
            certificate=issued.certificate,
            name=look.name,
            key=look.key,
            container=str(container),
        )
    subject = subjects.of_certificate(issued.certificate)
    return issued, identities.packed(container, subject, key, password, now, above=above)


def _issue(
    holder: Holder, look: Preview, request: VerifiedRequest, actor: Actor, now: datetime
) -> tuple[Issued, Grant]:
    device = look.device or devices.register(
        holder.name, look.profile, actor, now, subject=holder.subject, sans=holder.sans
    )
    return issuance.issue(device, request, actor, now)


def _confirmed(look: Preview, mark: str | None) -> Preview:
    if mark is not None and mark != look.mark:
        if look.newest is not None and mark == look.mark_before_newest and _is_for(look.newest, look.request):
            raise IssuedBefore(look.newest)
        raise Stale
    if look.refusals:
        raise look.refusals[0]
    return look


def _is_for(certificate: Certificate, request: VerifiedRequest | None) -> bool:
    return request is None or request.spki_sha256 == certificate.spki_sha256


def _wait_for_turn(holder: Holder) -> None:
    """Of the same button pressed twice at once, the second sees what the first has issued."""
    one_at_a_time(hashlib.sha256(f"by hand {holder.name}".encode()).hexdigest())


def _holder(holder: Holder) -> tuple[Device | None, Profile, list[Refusal]]:
    refusals: list[Refusal] = []
    if holder.profile is None:
        device = devices.find(holder.name)
        try:
            issuance.require_active_device(device)
        except issuance.DeviceInactive as refusal:
            refusals.append(refusal)
        return device, device.profile, refusals
    if Device.objects.filter(name=holder.name).exists():
        refusals.append(
            devices.DeviceExists(
                f"There is a device {holder.name!r} already; issue to it as a device on record, "
                "or choose another name."
            )
        )
    return None, holder.profile, refusals


def _record(holder: Holder, device: Device | None) -> Record:
    if device is not None:
        return device.record
    return Record(
        name=names.device_name(holder.name),
        subject=names.checked_subject(holder.subject),
        sans=tuple(names.parse_san(san) for san in holder.sans),
    )


def _usual_spec(profile: Profile) -> str:
    kinds = profile.rules.key_kinds
    return next((spec for spec, kind in keys.SPECS.items() if kind in kinds), next(iter(keys.SPECS)))


def _refused_key(
    profile: Profile, device: Device | None, request: VerifiedRequest | None, described: str
) -> list[Refusal]:
    try:
        if request is not None:
            issuance.require_own_key(device, request.spki_sha256)
        elif described not in keys.SPECS:
            raise keys.KeyRefused(f"There is no key kind {described[:32]!r}.")
        else:
            require_key_kind(profile.rules, keys.SPECS[described], described)
    except Refusal as refusal:
        return [refusal]
    return []


def _newest(name: str) -> Sequence[Certificate]:
    """The newest two certificates of the device of this name, if there is one."""
    device = Device.objects.filter(name=name).values("pk")[:1]
    return list(Certificate.objects.filter(device=device).order_by("-pk")[:2])


def _waiting(request: VerifiedRequest) -> EnrollmentRequest | None:
    return EnrollmentRequest.objects.filter(
        spki_sha256=request.spki_sha256, state=EnrollmentRequest.State.WAITING
    ).first()


def _facts(
    name: str,
    profile: Profile,
    issuer: Issuer,
    request: VerifiedRequest | None,
    described: str,
    outcome: Outcome | None,
) -> list[object]:
    return [
        name,
        profile.pk,
        issuer.fingerprint,
        profile.lifetime_seconds,
        [str(usage) for usage in profile.rules.extended_key_usages],
        described,
        request.spki_sha256 if request else "",
        sorted(outcome.subject.items()) if outcome else None,
        [str(san) for san in outcome.sans] if outcome else None,
        list(outcome.ignored) if outcome else None,
    ]


def _mark(facts: list[object], earlier: Sequence[Certificate]) -> str:
    text = json.dumps([*facts, earlier[0].pk if earlier else None])
    return hashlib.sha256(text.encode()).hexdigest()
