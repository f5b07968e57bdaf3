"""What campaigns do, said before it is done."""

from collections.abc import Callable, Iterator

from pki.admin.parts.spans import IN_SECONDS, written
from pki.models import Campaign
from pki.services.rotating import pace
from pki.services.rotating.drafting import Plan
from pki.services.rotating.progress import Progress
from pki.services.rotating.selection import Preview, Selection

State = Campaign.State

# What each state means, to who looks at the page.
STATES = {
    State.DRAFT: "Nothing comes of it before it is started.",
    State.CANARY: "The canaries are asked, and watched.",
    State.OPEN: "All are asked, a few at a time, when their moment in the window has come.",
    State.PAUSED: "Nobody is asked. Who has moved stays where they are; who was asked and has not moved "
    "renews as if there were no campaign.",
    State.STOPPED: "It stopped by itself, and nobody is asked any more. Look at who failed and why; then let "
    "it go on, or roll it back.",
    State.ROLLING_BACK: "Who has moved is asked to move back.",
    State.ROLLED_BACK: "It is over: who had moved is back with the issuer of before.",
    State.FINISHED: "It is over.",
    State.CANCELLED: "It was cancelled: who had moved stayed so, and the others were not asked any more.",
}


def whom(campaign: Campaign) -> str:
    """Which devices it is for, in a few words."""
    before = campaign.keys_before
    conditions = [
        f"of {campaign.from_issuer}" if campaign.from_issuer else "",
        f"in {campaign.group}" if campaign.group else "",
        f"with {campaign.label}" if campaign.label else "",
        f"with keys from before {before:%Y-%m-%d}" if before else "",
    ]
    return ", ".join(filter(None, conditions))


def course(plan: Plan, look: Preview) -> Iterator[str]:
    """How a campaign would go, before it is drafted."""
    number = look.count - look.elsewhere
    if plan.canary_percent:
        canaries = f"{pace.canaries(number, plan.canary_percent):,}"
        yield (
            f"About {canaries} canar{'y is' if canaries == '1' else 'ies are'} asked first, and watched for "
            f"{written(plan.canary_seconds, IN_SECONDS)} at least."
        )
    whom = "The others are" if plan.canary_percent else "They are"
    if plan.window_seconds:
        yield (
            f"{whom} asked over {written(plan.window_seconds, IN_SECONDS)}"
            f"{_rate(number, plan.window_seconds)}, spread evenly."
        )
    else:
        yield f"{whom} asked all at once."
    yield (
        "A device that is asked renews when it next looks, and its certificate of now stays good meanwhile. "
        "It has moved once it was seen with the new one."
    )
    yield f"It stops by itself when more than {plan.failures_percent} % of those who were asked have failed."


def left_out(selection: Selection, look: Preview) -> Iterator[str]:
    """Who is not reached, and why."""
    if look.elsewhere:
        yield f"{look.elsewhere:,} of these, because another campaign leads them."
    if look.unable:
        yield (
            f"{look.unable:,} more that cannot renew, and must enroll again: their certificates have ended, "
            "were revoked, or are of a compromised CA."
        )
    yield "Devices that are retired: there is nothing to renew."
    if selection.is_whole_issuer and selection.from_issuer is not None:
        yield (
            f"Nobody who enrolls meanwhile: the profiles of {selection.from_issuer} are given the new issuer "
            "when the campaign opens to all, and the old one back if it is rolled back."
        )
    else:
        yield "The profiles keep their issuer: who enrolls later gets a certificate of that one."


def _rate(number: int, seconds: int) -> str:
    an_hour = number * 3600 / seconds
    return f", about {an_hour:,.0f} an hour" if an_hour >= 1 else ""


def _start(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    if campaign.canary_percent:
        yield (
            f"{campaign.canary_percent} % of its devices, at least one, are asked at once, and watched for "
            f"{written(campaign.canary_seconds, IN_SECONDS)} at least."
        )
    else:
        yield "There are no canaries: it opens to all at once."
    yield "No certificate is taken from anybody. It can be paused at any time" + (
        ", and rolled back." if campaign.kind == Campaign.Kind.ISSUER else "; new keys cannot be taken back."
    )


def _pause(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield f"Nobody is asked any more, until it goes on: {_devices(how_far.waiting)} wait to be asked."
    if how_far.asked:
        yield f"{_devices(how_far.asked)} that were asked and have not renewed yet are not asked any more."


def _go_on(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield "It goes on where it was broken off."
    if how_far.failed:
        yield f"{_devices(how_far.failed)} that failed are asked again."


def _open_to_all(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield (
        f"The canaries are not waited for: so far {_devices(how_far.moved)} moved, and {how_far.failed:,} "
        "failed."
    )
    if campaign.window_seconds:
        yield f"The others are asked over {written(campaign.window_seconds, IN_SECONDS)}."
    else:
        yield "The others are asked all at once."


def _roll_back(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    back = campaign.from_issuer or "the issuer that each had before"
    yield f"{_devices(how_far.moved + how_far.renewed)} that moved are asked to renew with {back}, at once."
    yield "The others are not asked any more. What was issued stays good until it ends."
    if campaign.switched_profiles:
        yield "The profiles that were given the new issuer get the old one back."


def _finish(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield (
        f"It ends though {_devices(how_far.waiting + how_far.behind)} have not moved; they are not asked any "
        "more."
    )
    if campaign.from_issuer:
        yield (
            f"They keep what they have from {campaign.from_issuer}, which should not be retired before they "
            "have renewed."
        )


def _cancel(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    if campaign.state == State.DRAFT:
        yield "Nothing came of it yet, and nothing will."
        return
    yield f"{_devices(how_far.moved)} that moved stay so; the others are not asked any more."
    yield "It cannot go on later. To move the others after all, draft another one."


# Deed → what will come of it.
WILL: dict[str, Callable[[Campaign, Progress], Iterator[str]]] = {
    "start": _start,
    "pause": _pause,
    "go_on": _go_on,
    "open_to_all": _open_to_all,
    "roll_back": _roll_back,
    "finish": _finish,
    "cancel": _cancel,
}


def _devices(number: int) -> str:
    return "1 device" if number == 1 else f"{number:,} devices"
