"""A small fleet for campaigns to lead: devices that renew when they are asked to, and show what they have."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from pki.core import csr, renewals
from pki.models import AuditEvent, Campaign, CampaignMember, Certificate, Device, DeviceGroup, Issuer
from pki.services.fleet import devices
from pki.services.fleet.sightings import Sighting, SightingLog
from pki.services.issuing import authorities, issuance
from pki.services.rotating import campaigns, members
from pki.services.rotating.selection import Selection
from tests.clients import make_csr
from tests.services.cast import TESTER

MINUTE = timedelta(minutes=1)
Key = ec.EllipticCurvePrivateKey
State = Campaign.State
Member = CampaignMember.State


def old_issuer() -> Issuer:
    return devices.default_profile().issuer


def new_issuer(now: datetime, name: str = "Next CA") -> Issuer:
    return authorities.make_subordinate(name, authorities.root_of(old_issuer()), "P-256", TESTER, now)


def under_another_root(now: datetime, begins: str = "Second") -> Issuer:
    """An issuing CA that does not fall with the issuer of now."""
    root = authorities.make_root(f"{begins} Root", "P-256", TESTER, now)
    return authorities.make_subordinate(f"{begins} CA", root, "P-256", TESTER, now)


def of_old() -> Selection:
    """All devices of the issuer of now."""
    return Selection(from_issuer=old_issuer())


def group_of(*names: str, name: str = "hall") -> DeviceGroup:
    group = DeviceGroup.objects.create(name=name)
    group.devices.add(*Device.objects.filter(name__in=names))
    return group


def events(kind: str) -> list[AuditEvent]:
    """What is on record of campaigns."""
    return list(AuditEvent.objects.filter(kind=f"campaign.{kind}").order_by("pk"))


@dataclass
class Fleet:
    """Devices that were enrolled some days ago, and a clock of their own."""

    now: datetime
    keys: dict[str, Key] = field(default_factory=dict)
    shown: dict[str, Certificate] = field(default_factory=dict)  # what each shows

    @classmethod
    def of(cls, number: int, now: datetime, begins: str = "door") -> "Fleet":
        fleet = cls(now - timedelta(days=2))
        for index in range(number):
            fleet.enroll(f"{begins}-{index}")
        fleet.now = now
        return fleet

    def enroll(self, name: str) -> Device:
        device = devices.register(name, devices.default_profile(), TESTER, self.now)
        self.shown[name] = self.certified(name, new_key=True)
        return device

    def certified(self, name: str, *, new_key: bool = True) -> Certificate:
        """A certificate as the device would get it now."""
        device = Device.objects.select_related("profile__issuer", "issuer").get(name=name)
        if new_key:
            self.keys[name] = ec.generate_private_key(ec.SECP256R1())
        request = csr.verify(make_csr(name, key=self.keys[name]))
        return issuance.issue(device, request, TESTER, self.now)[0].certificate

    def renew(self, *names: str) -> None:
        """Devices get their next certificate, and use it from now on; they have not shown it yet."""
        for name in names:
            self.shown[name] = self.certified(name)

    def show(self, *names: str) -> None:
        """Devices show what they have."""
        log = SightingLog()
        for name in names or self.shown:
            certificate = self.shown[name]
            log.note(Sighting(certificate.device_id or 0, certificate.pk, self.now, None, "TLSv1.3"))
        log.flush()

    def move(self, *names: str) -> None:
        """Devices renew, and show it a second later."""
        self.renew(*names)
        self.now += timedelta(seconds=1)
        self.show(*names)

    def asked(self) -> set[str]:
        """Who would be told to renew now, by what it shows."""
        devices = Device.objects.filter(name__in=self.shown).values_list(
            "name", "issuer_id", "rotation_requested_at"
        )
        return {
            name
            for name, issuer, since in devices
            if renewals.is_asked(self.shown[name].issued_at, self.shown[name].issuer_id, issuer, since)
        }

    def obey(self) -> set[str]:
        """All who are asked renew and show it; who did."""
        told = self.asked()
        if told:
            self.move(*sorted(told))
        return told

    def pass_time(self, **span: float) -> None:
        self.now += timedelta(**span)

    def step(self, **span: float) -> None:
        """Let time pass, and then one step of the campaigns."""
        self.pass_time(**span)
        campaigns.step(self.now)

    def live(self, minutes: int, *, obey: bool = True) -> None:
        """So many minutes go by; each minute there is a step, and devices do what they are asked."""
        for _ in range(minutes):
            self.step(minutes=1)
            if obey:
                self.obey()


def whole(**plan: Any) -> dict[str, Any]:
    """A plan for tests: no canaries and everybody at once, but for what is said."""
    return {"canary_percent": 0, "canary_seconds": 0, "window_seconds": 0, "failures_percent": 10} | plan


def drafted(
    fleet: Fleet, selection: Selection, to: Issuer | None = None, name: str = "spring", **plan: Any
) -> Campaign:
    kind = Campaign.Kind.KEY if to is None else Campaign.Kind.ISSUER
    planned = campaigns.Plan(to_issuer=to, **whole(**plan))
    return campaigns.draft(name, kind, selection, planned, TESTER, fleet.now)


def started(*args: Any, **kwargs: Any) -> Campaign:
    """A campaign that was started, and has done its first step."""
    campaign = drafted(*args, **kwargs)
    fleet: Fleet = args[0]
    campaigns.start(campaign, TESTER, fleet.now)
    fleet.step()
    campaign.refresh_from_db()
    return campaign


def states(campaign: Campaign) -> dict[str, str]:
    """How far each device is."""
    return dict(CampaignMember.objects.filter(campaign=campaign).values_list("device__name", "state"))


def in_state(campaign: Campaign, *wanted: str) -> set[str]:
    return {name for name, state in states(campaign).items() if state in wanted}


def issuers_of(names: Iterable[str]) -> dict[str, str | None]:
    """The override of each device."""
    found = Device.objects.filter(name__in=list(names))
    return dict(found.values_list("name", "issuer__name"))


def state_of(campaign: Campaign) -> str:
    return Campaign.objects.get(pk=campaign.pk).state


def condemn(issuer: Issuer, state: Issuer.State, now: datetime) -> None:
    """Retire an issuer, whoever depends on it, or declare it compromised."""
    authorities.change_state(issuer, state, TESTER, now, confirmed_name=issuer.name)


def fail(fleet: Fleet, *names: str, code: str = "key_refused") -> None:
    """Devices are refused the renewals that they were asked for."""
    for name in names:
        members.failed(Device.objects.get(name=name), code, "It has no such key.", fleet.now)
