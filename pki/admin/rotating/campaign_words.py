"""What campaigns do, said before it is done."""

from collections.abc import Callable, Iterator, Sequence

from django.db.models import QuerySet
from django.utils import timezone

from pki.admin.parts.spans import IN_SECONDS, written
from pki.models import Campaign, Issuer, Profile
from pki.services.issuing.dependence import why_unable
from pki.services.rotating import judging, pace, progress, switching
from pki.services.rotating.drafting import Plan
from pki.services.rotating.progress import Progress
from pki.services.rotating.selection import Preview, Selection

State = Campaign.State
_HALTED = (State.PAUSED, State.STOPPED)
_MOST_NAMED = 10

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
            f"About {canaries} canar{'y is' if canaries == '1' else 'ies are'} asked first, and "
            f"{watched(plan.canary_seconds)}."
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
    yield f"It stops by itself when {too_many_failures(plan.failures_percent)}."


def watched(seconds: int) -> str:
    """How long canaries are watched."""
    return f"watched for {written(seconds, IN_SECONDS)} at least" if seconds else "not watched"


def too_many_failures(percent: int) -> str:
    """At how many failures a campaign stops."""
    return (
        f"more than {percent} % of those who were asked have failed, and at least {judging.FEWEST_FAILURES} "
        "devices"
    )


def left_out(selection: Selection, look: Preview) -> Iterator[str]:
    """Who is not reached, and why."""
    if look.elsewhere:
        them = "it" if look.elsewhere == 1 else "them"
        yield f"{look.elsewhere:,} of these, because another campaign leads {them}."
    if look.unable:
        their = "its" if look.unable == 1 else "their"
        yield (
            f"{look.unable:,} more that cannot renew, and must enroll again: {their} certificates have "
            "ended, were revoked, or are of a compromised CA."
        )
    yield "Devices that are retired: there is nothing to renew."
    if selection.is_whole_issuer and selection.from_issuer is not None:
        yield (
            f"Nobody who enrolls meanwhile: the profiles of {selection.from_issuer} are given the new issuer "
            "when the campaign opens to all, and the old one back if it is rolled back or cancelled: "
            f"{_named(switching.of_issuer(selection.from_issuer)) or 'none now'}. To start it one must be "
            "allowed to change profiles."
        )
    else:
        yield "The profiles keep their issuer: who enrolls later gets a certificate of that one."


def not_theirs(deeds: Sequence[str]) -> str:
    """Said to who may lead campaigns, and may not change profiles."""
    return (
        f"{', '.join(deeds)}: only for who may change profiles as well, because profiles get another issuer "
        "by it."
    )


def profiles(campaign: Campaign) -> str:
    """Which profiles get another issuer, or got it, and which they would get back."""
    if not switching.applies(campaign):
        return "They keep their issuer."
    if campaign.opened_at is None:
        if campaign.ended_at is not None:
            return "They kept their issuer."
        names = _named(switching.of_issuer(campaign.from_issuer))
        return f"{names or 'none now'}: get {campaign.to_issuer} when it opens to all"
    given = _named(switching.given(campaign))
    if not given:
        return f"None has {campaign.to_issuer} from it."
    if campaign.state in Campaign.ENDED:
        return f"{given}: got {campaign.to_issuer}"
    return f"{given}: have {campaign.to_issuer}. {_if_given_back(campaign)}"


def _if_given_back(campaign: Campaign) -> str:
    if back := _named(switching.to_give_back(campaign, timezone.now())):
        return f"Rolled back or cancelled, {campaign.from_issuer} again: {back}."
    return f"They keep it whatever is done: {_cannot_sign(campaign.from_issuer)}."


def _rate(number: int, seconds: int) -> str:
    an_hour = number * 3600 / seconds
    return f", about {an_hour:,.0f} an hour" if an_hour >= 1 else ""


def _start(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    if campaign.canary_percent:
        yield (
            f"{campaign.canary_percent} % of its devices, at least one, are asked at once, and "
            f"{watched(campaign.canary_seconds)}."
        )
    else:
        yield "There are no canaries: it opens to all at once."
    opens = "when it opens to all, which it does by itself" if campaign.canary_percent else "now"
    yield from _switched(campaign, opens)
    yield "No certificate is taken from anybody. It can be paused at any time" + (
        ", and rolled back." if campaign.kind == Campaign.Kind.ISSUER else "; new keys cannot be taken back."
    )


def _pause(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    waiting = _who(how_far.waiting, "waits", "wait")
    yield f"Nobody is asked any more, until it goes on: {waiting} to be asked."
    if how_far.asked:
        yield _who(
            how_far.asked,
            "that was asked and has not renewed yet is not asked any more.",
            "that were asked and have not renewed yet are not asked any more.",
        )


def _go_on(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield "It goes on where it was broken off."
    if how_far.failed:
        yield _who(how_far.failed, "that failed is asked again.", "that failed are asked again.")


def _open_to_all(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    yield (
        f"The canaries are not waited for: so far {_devices(how_far.moved)} moved, and {how_far.failed:,} "
        "failed."
    )
    if campaign.window_seconds:
        yield f"The others are asked over {written(campaign.window_seconds, IN_SECONDS)}."
    else:
        yield "The others are asked all at once."
    yield from _switched(campaign, "now")


def _roll_back(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    back = campaign.from_issuer or "the issuer that each had before"
    moved = _who(how_far.moved + how_far.renewed, "that moved is", "that moved are")
    yield f"{moved} asked to renew with {back}, at once."
    yield "The others are not asked any more. What was issued stays good until it ends."
    if meanwhile := progress.came_meanwhile(campaign, timezone.now()):
        new = campaign.to_issuer
        yield _who(
            meanwhile,
            f"that enrolled meanwhile has a certificate of {new}, and is not asked: it gets one of its "
            "profile's issuer when it renews next.",
            f"that enrolled meanwhile have certificates of {new}, and are not asked: each gets one of its "
            "profile's issuer when it renews next.",
        )
    yield from _given_back(campaign)


def _finish(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    if how_far.is_turning:
        yield "Its devices are not all turned round yet: it ends before all of them are asked to come back."
        return
    if campaign.state == State.ROLLING_BACK:
        yield f"It ends before all are back. Asked still, whenever they come: {_devices(how_far.behind)}."
        return
    yield f"It ends before all have moved. Not moved: {_devices(how_far.waiting + how_far.behind)}."
    if campaign.state in _HALTED:
        yield "Nobody is asked any more: it asks nobody now, and does not go on."
    else:
        yield f"Asked still, whenever they come: {_devices(how_far.behind)}."
        if how_far.waiting:
            yield f"Not asked yet, and not any more: {_devices(how_far.waiting)}."
    if campaign.from_issuer:
        yield (
            f"They keep what they have from {campaign.from_issuer}, which should not be retired before they "
            "have renewed."
        )
    if names := _named(switching.given(campaign)):
        yield f"Profiles that keep {campaign.to_issuer}: {names}."


def _cancel(campaign: Campaign, how_far: Progress) -> Iterator[str]:
    if campaign.state == State.DRAFT:
        yield "Nothing came of it yet, and nothing will."
        return
    moved = _who(how_far.moved, "that moved stays so", "that moved stay so")
    yield f"{moved}; the others are not asked any more."
    yield from _given_back(campaign)
    yield "It cannot go on later. To move the others after all, draft another one."


def _switched(campaign: Campaign, when: str) -> Iterator[str]:
    """Which profiles it gives another issuer."""
    if not switching.applies(campaign):
        return
    if names := _named(switching.of_issuer(campaign.from_issuer)):
        yield (
            f"Profiles that get {campaign.to_issuer} {when}: {names}. Who enrolls from then on gets a "
            "certificate of that one."
        )
    else:
        yield f"No profile has {campaign.from_issuer}: none is changed."


def _given_back(campaign: Campaign) -> Iterator[str]:
    """Which profiles get their issuer of before again, and which do not."""
    if names := _named(switching.to_give_back(campaign, timezone.now())):
        yield f"Profiles that get {campaign.from_issuer} back: {names}."
    elif names := _named(switching.given(campaign)):
        yield f"Profiles that keep {campaign.to_issuer}: {names}. {_cannot_sign(campaign.from_issuer)}."


def _cannot_sign(issuer: Issuer | None) -> str:
    return f"{issuer} is {why_unable(issuer, timezone.now())} and signs no more" if issuer else ""


def _named(chosen: QuerySet[Profile]) -> str:
    names = list(chosen.values_list("name", flat=True)[: _MOST_NAMED + 1])
    return ", ".join(names[:_MOST_NAMED]) + (" and more" if len(names) > _MOST_NAMED else "")


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


def _who(number: int, one: str, many: str) -> str:
    """So many devices, and what is said of one, or of none or several."""
    return f"{_devices(number)} {one if number == 1 else many}"
