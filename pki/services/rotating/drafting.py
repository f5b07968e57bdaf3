"""Drafting a campaign: what is checked before anything moves."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError

from pki.core.errors import Refusal
from pki.models import Campaign, Issuer
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing.dependence import why_barred
from pki.services.rotating import selection as selecting
from pki.services.rotating.selection import Selection
from pki.services.transactions import writing

LONGEST_NAME = 64
_DAY = 86_400


class CampaignUnfit(Refusal):
    """Something about a campaign is out of its range, or missing."""

    code = "campaign_unfit"


class CampaignExists(Refusal):
    """There is a campaign of this name already."""

    code = "campaign_exists"


class TargetUnfit(Refusal):
    """The issuer that the devices would move to cannot sign for them, or signs already."""

    code = "campaign_target_unfit"


class NothingSelected(Refusal):
    """No device is what the campaign asks for, or all of them are led by another one."""

    code = "nothing_selected"


@dataclass(frozen=True)
class Plan:
    """How a campaign goes about it; shares in percent, times in seconds."""

    to_issuer: Issuer | None = None  # for the kind "issuer", and none for "key"
    canary_percent: int = 5  # 0 to 50; above 0 at least one device
    canary_seconds: int = 3600
    window_seconds: int = 7 * _DAY  # 0: all at once
    failures_percent: int = 5


# Of a plan's numbers: the most that each may be. None may be below 0.
MOST = {
    "canary_percent": 50,
    "canary_seconds": 30 * _DAY,
    "window_seconds": 366 * _DAY,
    "failures_percent": 100,
}


def draft(
    name: str, kind: Campaign.Kind, selection: Selection, plan: Plan, actor: Actor, now: datetime
) -> Campaign:
    """Store a campaign that nothing comes of before it is started.

    Raises CampaignUnfit, TargetUnfit, NothingSelected or CampaignExists.
    """
    name = _checked_name(name)
    _check_numbers(plan)
    _check_target(kind, selection, plan, now)
    look = _checked_selection(selection, now)
    try:
        with writing():
            campaign = Campaign.objects.create(
                name=name,
                kind=kind,
                from_issuer=selection.from_issuer,
                group=selection.group,
                label=selection.label,
                keys_before=selection.keys_before,
                created_at=now,
                created_by=actor.name[:160],
                **{each.name: getattr(plan, each.name) for each in fields(plan)},
            )
            audit.record(
                "campaign.drafted",
                actor,
                now,
                campaign=name,
                number=campaign.pk,
                campaign_kind=str(kind),
                **_described(selection, plan),
                devices=look.count,
                elsewhere=look.elsewhere or None,
                unable=look.unable or None,
            )
    except IntegrityError as error:
        raise CampaignExists(f"There is a campaign {name!r} already; choose another name.") from error
    return campaign


def require_fit_target(issuer: Issuer, now: datetime) -> None:
    """Raise TargetUnfit unless `issuer` can sign for a fleet now."""
    if issuer.is_root:
        raise TargetUnfit(
            f"{issuer} is a root, which signs for CAs and for no devices; choose a CA below it, or make one."
        )
    if why := why_barred(issuer):
        raise TargetUnfit(f"{issuer} is {why} and signs no more; choose another issuer, or make one.")
    if issuer.not_after <= now + timedelta(days=1):
        raise TargetUnfit(f"{issuer} ends at {issuer.not_after:%Y-%m-%d %H:%M} UTC; make its next one first.")


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise CampaignUnfit(f"A campaign's name has 1 to {LONGEST_NAME} printable characters.")
    return name


def _check_numbers(plan: Plan) -> None:
    for each, most in MOST.items():
        if not 0 <= getattr(plan, each) <= most:
            raise CampaignUnfit(f"{each} is {getattr(plan, each)}; it must be from 0 to {most}.")


def _check_target(kind: Campaign.Kind, selection: Selection, plan: Plan, now: datetime) -> None:
    if kind == Campaign.Kind.KEY:
        if plan.to_issuer is not None:
            raise TargetUnfit("A campaign that rotates keys has no issuer to move to; leave it out.")
        return
    if plan.to_issuer is None:
        raise TargetUnfit("Say which issuer the devices move to.")
    if plan.to_issuer == selection.from_issuer:
        raise TargetUnfit(
            f"The devices have certificates of {plan.to_issuer} already; choose another issuer."
        )
    require_fit_target(plan.to_issuer, now)


def _checked_selection(selection: Selection, now: datetime) -> selecting.Preview:
    if selection.is_empty:
        raise CampaignUnfit("Say which devices: by their issuer, a group, a label, or the age of their keys.")
    look = selecting.preview(selection, now)
    if not look.count:
        raise NothingSelected(_nobody(look))
    if look.elsewhere == look.count and not look.is_more:
        raise NothingSelected("Another campaign leads all of these devices; let it end, or cancel it, first.")
    return look


def _nobody(look: selecting.Preview) -> str:
    if look.unable:
        return (
            "None of the devices in this selection can renew: their certificates have ended, were revoked, "
            "or are of a compromised CA. Let them enroll again, with tokens."
        )
    return (
        "No device with a living certificate is in this selection; all conditions must hold at once. "
        "Leave one out, or look for the devices in the list of devices."
    )


def _described(selection: Selection, plan: Plan) -> dict[str, Any]:
    return {
        "from_issuer": selection.from_issuer.name if selection.from_issuer else None,
        "group": selection.group.name if selection.group else None,
        "label": selection.label.name if selection.label else None,
        "keys_before": selection.keys_before.isoformat() if selection.keys_before else None,
        "to_issuer": plan.to_issuer.name if plan.to_issuer else None,
        **{each: getattr(plan, each) for each in MOST},
    }
