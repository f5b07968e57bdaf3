import argparse
import shlex
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management import arguments
from pki.management.base import ServiceCommand
from pki.models import Campaign, DeviceGroup, Issuer, Label
from pki.services.audit import Actor
from pki.services.rotating import campaigns, progress, selection
from pki.services.rotating.campaigns import Plan
from pki.services.rotating.selection import Selection

# Word → deed, and what is said of it.
DEEDS = {
    "start": (campaigns.start, "begin: the canaries are asked by the next step"),
    "open": (campaigns.open_to_all, "ask all, however the canaries do"),
    "pause": (campaigns.pause, "ask nobody any more"),
    "go_on": (campaigns.go_on, "go on after a pause or a stop"),
    "roll_back": (campaigns.roll_back, "ask who has moved to come back"),
    "finish": (campaigns.finish, "end it without those who are behind"),
    "cancel": (campaigns.cancel, "end it; who has moved stays"),
}
_LAGGARDS = 20
_USUAL = Plan()


class Command(ServiceCommand):
    help = "Lead a fleet to another issuer, or to new keys."

    def add_arguments(self, parser: CommandParser) -> None:
        words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
        words.add_parser("list", help="all campaigns, the newest first")
        self._named(words.add_parser("show", help="how far one is, and who is behind"))
        self._add_draft(words.add_parser("draft", help="make one; nothing comes of it before it is started"))
        for word, (_, about) in DEEDS.items():
            self._named(words.add_parser(word, help=about))
        words.add_parser("step", help="do what is due now, as maintenance does each minute")

    def _named(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="the campaign's name")

    def _add_draft(self, parser: argparse.ArgumentParser) -> None:
        self._named(parser)
        which = parser.add_argument_group("which devices: all conditions that are given must hold")
        which.add_argument("--issuer", metavar="NAME", help="a certificate of theirs is of this issuer")
        which.add_argument("--group", metavar="NAME", help="they are in this group")
        which.add_argument("--label", metavar="NAME", help="they have this label")
        which.add_argument(
            "--keys-before", type=_day, metavar="DATE", help="their newest key is older: 2026-05-01 (UTC)"
        )
        parser.add_argument("--to", metavar="NAME", help="the issuer they move to; without it, new keys")
        parser.add_argument("--canary", type=int, default=_USUAL.canary_percent, metavar="PERCENT")
        parser.add_argument("--watch", type=_span, default=_USUAL.canary_seconds, metavar="TIME")
        parser.add_argument("--window", type=_span, default=_USUAL.window_seconds, metavar="TIME")
        parser.add_argument("--failures", type=int, default=_USUAL.failures_percent, metavar="PERCENT")

    def handle(self, *args: Any, word: str, **options: Any) -> None:
        now = timezone.now()
        match word:
            case "list":
                self._list()
            case "step":
                campaigns.step(now)
            case "draft":
                self._draft(options, now)
            case "show":
                self._show(_found(options["name"]), now)
            case _:
                campaign = _found(options["name"])
                DEEDS[word][0](campaign, Actor.shell(), now)
                self.stdout.write(f"{campaign}: {campaign.state}.")

    def _list(self) -> None:
        for campaign in Campaign.objects.order_by("-pk").select_related("to_issuer"):
            aim = f"to {campaign.to_issuer}" if campaign.to_issuer else "new keys"
            self.stdout.write(f"{campaign}: {campaign.state}, {aim}")

    def _draft(self, options: dict[str, Any], now: datetime) -> None:
        chosen = Selection(
            _row(Issuer, options["issuer"]),
            _row(DeviceGroup, options["group"]),
            _row(Label, options["label"]),
            options["keys_before"],
        )
        plan = Plan(
            _row(Issuer, options["to"]),
            options["canary"],
            options["watch"],
            options["window"],
            options["failures"],
        )
        kind = Campaign.Kind.ISSUER if plan.to_issuer else Campaign.Kind.KEY
        campaign = campaigns.draft(options["name"], kind, chosen, plan, Actor.shell(), now)
        look = selection.preview(chosen, now)
        more = "+" if look.is_more else ""
        self.stdout.write(
            f"{campaign}: a draft for {look.count}{more} devices; {look.elsewhere} led elsewhere; "
            f"{look.unable} more cannot renew, and must enroll."
        )
        command = shlex.join(["python", "manage.py", "campaign", "start", campaign.name])
        self.stdout.write(f"Start it with: {command}")

    def _show(self, campaign: Campaign, now: datetime) -> None:
        far = progress.of(campaign, now)
        self.stdout.write(f"{campaign}: {campaign.get_state_display().lower()}")
        if campaign.reason:
            self.stdout.write(campaign.reason)
        self.stdout.write(
            "Its devices are being turned round."
            if far.is_turning
            else f"{far.moved} of {far.able} {far.word} ({far.percent} %); {far.waiting} wait, "
            f"{far.asked} asked ({far.not_seen} not seen since), {far.renewed} renewed, {far.failed} failed, "
            f"{far.unable} cannot renew and must enroll, {far.left} left out"
        )
        if campaign.elsewhere:
            are = "is" if campaign.elsewhere == 1 else "are"
            self.stdout.write(f"{campaign.elsewhere} more {are} led by another campaign.")
        for member in progress.laggards(campaign, _LAGGARDS):
            why = f" ({member.code}): {member.reason}" if member.code else ""
            self.stdout.write(f"  {member.device}: {member.state}{why}")


def _found(name: str) -> Campaign:
    campaign = Campaign.objects.filter(name=name).first()
    if campaign is None:
        raise CommandError(f"There is no campaign {name!r}; see: python manage.py campaign list")
    return campaign


def _row(model: Any, name: str | None) -> Any:
    """The row of this name; none for none."""
    if name is None:
        return None
    row = model.objects.filter(name=name).first()
    if row is None:
        raise CommandError(f"There is no {model._meta.verbose_name} {name!r}.")
    return row


def _span(text: str) -> int:
    """A time in seconds, or 0."""
    return 0 if text.strip() in ("0", "0s") else int(arguments.lifetime(text).total_seconds())


def _day(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write 2026-05-01") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
