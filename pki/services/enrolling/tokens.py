"""Enrollment tokens: made once, shown once, kept as digests."""

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from django.db.models import BigIntegerField, CharField, DateTimeField, Exists, F, OuterRef

from pki.core import names
from pki.core.errors import Refusal
from pki.models import Certificate, Device, DeviceGroup, EnrollmentToken, Profile
from pki.services import audit
from pki.services.audit import Actor
from pki.services.prepared import Asked, Objects, Update
from pki.services.transactions import writing

# Lets secret scanners recognise one that went astray.
PREFIX = "hatch_"
DEFAULT_LIFETIME = timedelta(hours=24)
LONGEST_LIFETIME = timedelta(days=365)
# Tokens that are made together.
MOST_AT_ONCE = 10_000
_BATCH = 1_000  # rows of one INSERT

_BY_DIGEST = Objects(
    lambda: EnrollmentToken.objects.select_related("device", "profile__issuer__parent").filter(
        digest=Asked("digest", CharField())
    )
)
_PROFILE = Objects(
    lambda: Profile.objects.select_related("issuer__parent").filter(pk=Asked("number", BigIntegerField()))
)
_CLAIM = Update(
    lambda: EnrollmentToken.objects.filter(
        pk=Asked("number", BigIntegerField()),
        uses__lt=F("uses_allowed"),
        expires_at__gt=Asked("now", DateTimeField()),
        cancelled_at=None,
    ),
    uses=F("uses") + 1,
)


class TokenMissing(Refusal):
    """Enrollment needs a token, and none was sent."""

    code = "token_missing"


class TokenInvalid(Refusal):
    """The token is unknown, expired, cancelled or used up: the answer does not tell which."""

    code = "token_invalid"

    def __init__(self) -> None:
        super().__init__("The token is not valid; ask an administrator for a new one.")


class NameNotAllowed(Refusal):
    """The token is for devices of other names."""

    code = "name_not_allowed"


class TokenUnfit(Refusal):
    """A token was asked for that makes no sense."""

    code = "token_unfit"


@dataclass(frozen=True)
class Handed:
    """A token of a device with its secret, on its way to who asked for it."""

    name: str
    secret: str = field(repr=False)
    expires_at: datetime


def digest(secret: str) -> str:
    """What is stored of a token. Its 256 random bits need no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make(
    actor: Actor,
    now: datetime,
    profile: Profile,
    *,
    device: Device | None = None,
    name_pattern: str = "",
    uses: int = 1,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> tuple[str, EnrollmentToken]:
    """A new token, for one device or for new devices whose names match a pattern.

    The secret is returned here and nowhere else. Raises TokenUnfit or NameRefused.
    """
    if (device is None) == (not name_pattern):
        raise TokenUnfit("A token is for one device or for a pattern of names.")
    if name_pattern:
        names.name_pattern(name_pattern)
    if not 1 <= uses <= 1_000_000:
        raise TokenUnfit("A token has 1 to 1,000,000 uses.")
    _check_lifetime(lifetime)
    secret = _new_secret()
    with writing():
        token = EnrollmentToken.objects.create(
            digest=digest(secret),
            device=device,
            name_pattern=name_pattern,
            profile=profile,
            uses_allowed=uses,
            expires_at=now + lifetime,
            created_at=now,
            created_by=actor.name,
        )
        audit.record(
            "token.made",
            actor,
            now,
            device=device,
            token=token.pk,
            name_pattern=name_pattern,
            uses=uses,
            expires_at=token.expires_at.isoformat(timespec="seconds"),
        )
    return secret, token


def awaited(group: DeviceGroup) -> list[Device]:
    """The active devices of a group that have no certificate yet: at most MOST_AT_ONCE, by their names."""
    certificates = Certificate.objects.filter(device=OuterRef("pk"))
    waiting = group.devices.filter(~Exists(certificates), state=Device.State.ACTIVE)
    return list(waiting.order_by("name")[:MOST_AT_ONCE])


def make_each(
    devices: Sequence[Device], actor: Actor, now: datetime, lifetime: timedelta = DEFAULT_LIFETIME
) -> list[Handed]:
    """A new token with one use for each of many devices, each with its own event; all or none.

    The secrets are returned here and nowhere else. Raises TokenUnfit.
    """
    _check_lifetime(lifetime)
    for device in devices:
        if device.state == Device.State.RETIRED:
            raise TokenUnfit(f"The device {device} is retired; it can have no token.")
    handed = [Handed(device.name, _new_secret(), now + lifetime) for device in devices]
    with writing():
        made = EnrollmentToken.objects.bulk_create(
            [
                EnrollmentToken(
                    digest=digest(each.secret),
                    device=device,
                    profile_id=device.profile_id,
                    expires_at=each.expires_at,
                    created_at=now,
                    created_by=actor.name,
                )
                for device, each in zip(devices, handed, strict=True)
            ],
            batch_size=_BATCH,
        )
        expires = (now + lifetime).isoformat(timespec="seconds")
        audit.record_each(
            "token.made",
            actor,
            now,
            [
                (device, {"token": token.pk, "uses": 1, "expires_at": expires})
                for device, token in zip(devices, made, strict=True)
            ],
        )
    return handed


def _new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def _check_lifetime(lifetime: timedelta) -> None:
    if not timedelta(0) < lifetime <= LONGEST_LIFETIME:
        raise TokenUnfit(f"A token lives for at most {LONGEST_LIFETIME.days} days.")


def find(secret: str, now: datetime) -> EnrollmentToken:
    """The living token of this secret, used up or not. Raises TokenInvalid."""
    token = _BY_DIGEST.first(digest=digest(secret))
    if token is None or token.cancelled_at is not None or token.expires_at <= now:
        raise TokenInvalid
    device = token.device
    if device is not None:
        # Nearly always the one that it had when it was given the token.
        is_the_same = device.profile_id == token.profile_id
        device.profile = token.profile if is_the_same else _PROFILE.one(number=device.profile_id)
    return token


def claim(token: EnrollmentToken, now: datetime) -> bool:
    """Take one use of a token, inside the caller's transaction; false if none is left."""
    return _CLAIM.run(number=token.pk, now=now) == 1


def matches(token: EnrollmentToken, name: str) -> bool:
    """Whether a pattern token may make a device of this name."""
    return fnmatchcase(name, token.name_pattern)


def cancel(token: EnrollmentToken, actor: Actor, now: datetime) -> bool:
    """End a token at once; whether it had not been cancelled before.

    Certificates that were got with it stay good.
    """
    with writing():
        if not EnrollmentToken.objects.filter(pk=token.pk, cancelled_at=None).update(cancelled_at=now):
            return False
        audit.record("token.cancelled", actor, now, device=token.device, token=token.pk)
    return True


def cancel_all(chosen: Iterable[EnrollmentToken], actor: Actor, now: datetime) -> int:
    """End several tokens, all or none; how many had not been cancelled before."""
    with writing():
        return sum([cancel(token, actor, now) for token in chosen])
