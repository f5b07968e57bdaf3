"""Writing a fleet's story into the database: the rows that the services make, many at a time."""

import hashlib
import random
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management.color import no_style
from django.db import connection
from django.db.models import Model

from benchmarks.fleet import HANDSHAKES, LABELS, PROFILES, REASONS, REFUSALS, SITES, Deed, Member, Step
from benchmarks.signing import Signed, csr_der
from pki.core import names, pins
from pki.models import (
    AuditEvent,
    Certificate,
    Device,
    DeviceGroup,
    EnrollmentRequest,
    EnrollmentToken,
    Issuer,
    Label,
    LastSeen,
    Profile,
    Revocation,
    SubjectAltName,
)
from pki.services.transactions import writing

_ADMINISTRATORS = ("administrator:ada", "administrator:grace", "administrator:edsger", "shell:root")
_TOKEN_LIFETIME = timedelta(days=1)


class Writer:
    """Turns the steps of a story into rows, in their order."""

    def __init__(self, members: list[Member], now: datetime, chance: random.Random) -> None:
        self.members, self.now, self.chance = members, now, chance
        self.profiles: dict[str, Profile] = {}
        self.groups: list[DeviceGroup] = []
        self.labels: list[Label] = []
        self.pattern_token: EnrollmentToken
        # Numbers are given here, so that later rows can name earlier ones without asking the database.
        self.device_ids: dict[int, int] = {}
        self.token_ids: dict[int, int] = {}
        self.certificate_ids: dict[tuple[int, int], int] = {}
        self._rows: dict[type[Model], list[Any]] = {}
        self._next = {model: _next_id(model) for model in (Device, EnrollmentToken, Certificate)}

    # --- Before and after -------------------------------------------------------------------------

    def prepare(self) -> None:
        """Make the profiles, the groups, the labels, and the token that most devices enrolled with."""
        issuer = Issuer.objects.get(parent__isnull=False)
        with writing():
            for name, (lifetime, _) in PROFILES.items():
                self.profiles[name], _ = Profile.objects.select_related("issuer").get_or_create(
                    name=name,
                    defaults={
                        "issuer": issuer,
                        "lifetime_seconds": lifetime,
                        "extended_key_usages": ["clientAuth"],
                    },
                )
            self.groups = [DeviceGroup.objects.create(name=site) for site in SITES]
            self.labels = [Label.objects.create(name=label) for label in LABELS]
            enrolling = sum(1 for member in self.members if member.issued_at and not member.own_token)
            start = datetime.fromtimestamp(self.members[0].registered_at, UTC)
            self.pattern_token = EnrollmentToken.objects.create(
                id=self._number(EnrollmentToken),
                digest=_digest("pattern"),
                name_pattern="*-*",
                profile=self.profiles["device"],
                uses_allowed=enrolling + 1_000,
                uses=enrolling,
                expires_at=self.now + timedelta(days=30),
                created_at=start,
                created_by=_ADMINISTRATORS[0],
            )

    def finish(self) -> None:
        """When each device was last seen; and let the database go on numbering after ours."""
        for index, member in enumerate(self.members):
            if member.issued_at:
                self._last_seen(index, member)
        with writing():
            self._flush()
            with connection.cursor() as cursor:
                models = [Device, EnrollmentToken, Certificate]
                for statement in connection.ops.sequence_reset_sql(no_style(), models):
                    cursor.execute(statement)

    def _last_seen(self, index: int, member: Member) -> None:
        # Most call every day, the others once in a while.
        recent = self.chance.random() < 0.7
        ago = timedelta(seconds=self.chance.randrange(86_400 if recent else 20 * 86_400))
        ended = min(self.now, datetime.fromtimestamp(member.ended_at, UTC))
        latest = len(member.issued_at) - 1
        self._add(
            LastSeen(
                device_id=self.device_ids[index],
                at=max(ended - ago, datetime.fromtimestamp(member.issued_at[latest], UTC)),
                address=member.address,
                tls_version="TLSv1.3",
                certificate_id=self.certificate_ids[index, latest],
            )
        )

    # --- Step by step -----------------------------------------------------------------------------

    def write(self, steps: Iterable[Step], signed: Mapping[tuple[int, int], Signed]) -> None:
        """Make the rows of a part of the story, in one transaction."""
        for at, deed, index, number in steps:
            when = datetime.fromtimestamp(at, UTC)
            match deed:
                case Deed.REGISTERED:
                    self._registered(when, index)
                case Deed.TOKEN_MADE:
                    self._token_made(when, index)
                case Deed.ISSUED:
                    self._issued(when, index, number, signed[index, number])
                case Deed.REVOKED:
                    self._revoked(when, index, number)
                case Deed.CHANGED_STATE:
                    self._changed_state(when, index)
                case Deed.REFUSED:
                    self._refused(when)
                case Deed.WAITING:
                    self._waiting(when, index)
                case Deed.HANDSHAKE_REFUSED:
                    self._handshake_refused(when)
        with writing():
            self._flush()

    def _registered(self, when: datetime, index: int) -> None:
        member = self.members[index]
        pk = self.device_ids[index] = self._number(Device)
        profile = self.profiles[member.profile]
        self._add(
            Device(
                pk=pk,
                name=member.name,
                profile=profile,
                state=member.state,
                sans=list(member.sans),
                created_at=when,
            )
        )
        through = Device.groups.through
        for site in set(member.sites):
            self._add(through(device_id=pk, devicegroup_id=self.groups[site].pk))
        for label in member.labels:
            self._add(Device.labels.through(device_id=pk, label_id=self.labels[label].pk))
        self._event(when, "device.registered", self._administrator(), device_id=pk, profile=profile.name)

    def _token_made(self, when: datetime, index: int) -> None:
        member = self.members[index]
        pk = self.token_ids[index] = self._number(EnrollmentToken)
        administrator = self._administrator()
        # Of those that nobody used, some were cancelled, and the newest wait.
        cancelled = not member.issued_at and self.chance.random() < 0.3
        waits = not member.issued_at and self.chance.random() < 0.1
        expires = (self.now if waits else when) + _TOKEN_LIFETIME
        self._add(
            EnrollmentToken(
                pk=pk,
                digest=_digest(f"token {index}"),
                device_id=self.device_ids[index],
                profile=self.profiles[member.profile],
                uses=1 if member.issued_at else 0,
                expires_at=expires,
                cancelled_at=when + timedelta(hours=1) if cancelled else None,
                created_at=when,
                created_by=administrator,
            )
        )
        self._event(
            when,
            "token.made",
            administrator,
            device_id=self.device_ids[index],
            token=pk,
            uses=1,
            expires_at=expires.isoformat(timespec="seconds"),
        )

    def _issued(self, when: datetime, index: int, number: int, signed: Signed) -> None:
        member, device_id = self.members[index], self.device_ids[index]
        profile = self.profiles[member.profile]
        pk = self.certificate_ids[index, number] = self._number(Certificate)
        self._add(
            Certificate(
                pk=pk,
                issuer=profile.issuer,
                serial=signed.serial,
                fingerprint=signed.fingerprint,
                profile=profile,
                device_id=device_id,
                common_name=member.name,
                sans=list(member.sans),
                spki_sha256=signed.spki_sha256,
                not_before=signed.not_before,
                not_after=signed.not_after,
                crl_shard=profile.issuer.open_shard,
                issued_at=when,
                der=signed.der,
            )
        )
        for san in member.sans:
            self._add(SubjectAltName(certificate_id=pk, value=names.parse_san(san).value.lower()))
        if signed.csr_der is not None:
            self._enrolled(when, index, pk, signed)
        self._event(
            when,
            "certificate.issued",
            f"device:{member.name}",
            member.address,
            device_id=device_id,
            certificate_id=pk,
            name=member.name,
            profile=profile.name,
            fingerprint=signed.fingerprint,
        )

    def _enrolled(self, when: datetime, index: int, certificate_id: int, signed: Signed) -> None:
        member = self.members[index]
        self._add(
            EnrollmentRequest(
                state="issued",
                name=member.name,
                device_id=self.device_ids[index],
                profile=self.profiles[member.profile],
                token_id=self.token_ids.get(index, self.pattern_token.pk),
                certificate_id=certificate_id,
                csr_der=signed.csr_der,
                spki_sha256=signed.spki_sha256,
                address=member.address,
                created_at=when,
                last_at=when,
            )
        )

    def _revoked(self, when: datetime, index: int, number: int) -> None:
        reason, pk = self.chance.choice(REASONS), self.certificate_ids[index, number]
        self._add(Revocation(certificate_id=pk, reason=reason, revoked_at=when))
        self._event(
            when,
            "certificate.revoked",
            self._administrator(),
            device_id=self.device_ids[index],
            certificate_id=pk,
            name=self.members[index].name,
            reason=reason,
        )

    def _changed_state(self, when: datetime, index: int) -> None:
        state = self.members[index].state
        self._event(
            when,
            f"device.{state}",
            self._administrator(),
            device_id=self.device_ids[index],
            before="active",
        )

    def _refused(self, when: datetime) -> None:
        code, name, address = self.chance.choice(list(REFUSALS)), self._stranger(), self._address()
        self._add(
            EnrollmentRequest(
                state="refused",
                name=name,
                profile=self.profiles["device"],
                code=code,
                reason=REFUSALS[code],
                address=address,
                count=int(1 / (1.001 - self.chance.random())),
                fold=hashlib.sha256(uuid.uuid4().bytes).hexdigest(),
                created_at=when,
                last_at=when + (self.now - when) * self.chance.random(),
            )
        )
        self._event(
            when, "enrollment.refused", "anonymous", address, code=code, name=name, reason=REFUSALS[code]
        )

    def _waiting(self, when: datetime, index: int) -> None:
        name, address = f"newcomer-{index:04d}", self._address()
        key = ec.generate_private_key(ec.SECP256R1())
        request = EnrollmentRequest(
            state="waiting",
            name=name,
            profile=self.profiles["device"],
            csr_der=csr_der(name, key),
            spki_sha256=pins.spki_sha256(key.public_key()),
            address=address,
            created_at=when,
            last_at=when,
        )
        self._add(request)
        self._event(when, "enrollment.waiting", "anonymous", address, name=name, request=str(request.pk))

    def _handshake_refused(self, when: datetime) -> None:
        reason = self.chance.choice(list(HANDSHAKES))
        self._event(
            when,
            "handshake.refused",
            "anonymous",
            self._address(),
            count=self.chance.choice((1, 1, 1, 2, 30)),
            listener="secure",
            reason=reason,
            explanation=HANDSHAKES[reason],
        )

    # --- Small things -----------------------------------------------------------------------------

    def _event(
        self,
        when: datetime,
        kind: str,
        actor: str,
        address: str | None = None,
        *,
        device_id: int | None = None,
        certificate_id: int | None = None,
        count: int = 1,
        **detail: Any,
    ) -> None:
        self._add(
            AuditEvent(
                at=when,
                kind=kind,
                actor=actor,
                address=address,
                device_id=device_id,
                certificate_id=certificate_id,
                count=count,
                detail=detail,
            )
        )

    def _add(self, row: Model) -> None:
        self._rows.setdefault(type(row), []).append(row)

    def _flush(self) -> None:
        for model, rows in self._rows.items():
            model._default_manager.bulk_create(rows)
        self._rows.clear()

    def _number(self, model: type[Model]) -> int:
        self._next[model] += 1
        return self._next[model] - 1

    def _administrator(self) -> str:
        return self.chance.choice(_ADMINISTRATORS)

    def _stranger(self) -> str:
        return f"{self.chance.choice(('door', 'unknown', 'test', 'box'))}-{self.chance.randrange(3_000)}"

    def _address(self) -> str:
        return f"198.51.{self.chance.randrange(256)}.{self.chance.randrange(1, 255)}"


def _next_id(model: type[Model]) -> int:
    return (model._default_manager.order_by("-pk").values_list("pk", flat=True).first() or 0) + 1


def _digest(text: str) -> str:
    return hashlib.sha256(f"{text} {uuid.uuid4()}".encode()).hexdigest()
