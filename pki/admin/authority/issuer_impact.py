"""What comes of making an issuer, retiring it, or declaring it compromised, in sentences."""

from collections.abc import Iterator, Sequence

from django.db import connection
from django.utils import timezone

from pki.admin.authority import issuer_loss
from pki.admin.parts import reaching
from pki.models import Campaign, Device, Issuer
from pki.services.counting import Bounded
from pki.services.issuing.dependence import dependents
from pki.services.looking import lost_issuers
from pki.services.revoking import impact
from pki.services.rotating import progress
from pki.services.trusting import followers


def of_making() -> str:
    """What is to be done by hand after an issuer was made."""
    nodes = "Copy keys/ to the other nodes. " if connection.vendor == "postgresql" else ""
    return (
        f"{nodes}The secure listener takes it up within seconds; proxies that verify by /ca/all.pem must "
        "fetch that again."
    )


def of_taking_back(issuer: Issuer) -> str:
    """Why it is of no use to take an issuer back, in a sentence; empty if it is."""
    loss = lost_issuers.of(issuer, timezone.now())
    return f"{issuer_loss.why(loss)}: it can be taken back, and stays refused all the same." if loss else ""


def must_be_named(issuer: Issuer, after: Issuer.State) -> bool:
    """Whether this is not done before its name was typed: it is retired, and something depends on it."""
    return after == Issuer.State.RETIRED and bool(dependents(issuer, timezone.now()))


def told(issuers: Sequence[Issuer], after: Issuer.State) -> Iterator[str]:
    """What retiring an issuer, or declaring it compromised, does."""
    (issuer,) = issuers
    below = ", ".join(issuer.subordinates.order_by("name").values_list("name", flat=True))
    # Their state is their own, but nothing holds that hangs on a compromised CA.
    fate = "are refused with it" if after == Issuer.State.COMPROMISED else "stay as they are"
    if below:
        yield f"The CAs below it {fate}: {below}."
    depending = dependents(issuer, timezone.now())
    yield f"It is in use: {depending}." if depending else "Nothing depends on it any more."
    if Device.objects.filter(issuer=issuer).exists():
        yield "Devices for which a campaign had decided on it follow their profiles again."
    if after == Issuer.State.COMPROMISED:
        yield from _stopped(issuer)
        yield from _elsewhere(issuer)
        yield "Its page says then what is to be done, from the next issuer to the devices' new tokens."
    elif depending.profiles:
        yield "Those profiles sign nothing until they have another issuer."


def _stopped(issuer: Issuer) -> Iterator[str]:
    """How many devices are refused from that moment on."""
    stopped = impact.of_compromise(issuer, timezone.now())
    if stopped.devices:
        yield (
            f"{_devices(stopped.devices)} certificates of it alone: refused from this moment on, until "
            "enrolled again."
        )
    else:
        yield "No device has good certificates of it alone."
    if stopped.unsure:
        yield (
            f"{_devices(stopped.unsure)} been given another one as well, and did not show that one last: who "
            "has it no more is refused too."
        )
    if stopped.keep_another:
        yield f"{_devices(stopped.keep_another)} shown another one last, of another issuer, to go on with."
    yield from _left_alone(issuer)
    if stopped.listeners:
        yield (
            f"Our own listeners that show a certificate of it on this node: {', '.join(stopped.listeners)}. "
            "Clients refuse these until they have new ones."
        )
    at_work = Campaign.objects.filter(from_issuer=issuer).exclude(
        state__in=(Campaign.State.DRAFT, *Campaign.ENDED)
    )
    for campaign in at_work.order_by("-pk"):
        how_far = progress.of(campaign, timezone.now())
        yield (
            f"The campaign {campaign} moves devices away from it: {how_far.moved:,} of {how_far.able:,} "
            "have moved. Who has not cannot renew any more."
        )


def _left_alone(issuer: Issuer) -> Iterator[str]:
    """How many devices cannot verify our listeners any more, of a root."""
    alone = followers.knowing_no_other(issuer, timezone.now())
    if alone:
        yield (
            f"As far as known: {_devices(alone)} not fetched a trust bundle with another root. They refuse "
            "our servers until they are given one by hand."
        )


def _elsewhere(issuer: Issuer) -> list[str]:
    """What others see of a compromise."""
    if issuer.parent is None:
        return ["No list can revoke a root: whoever trusts it must take it out of their trust store."]
    return [
        f"The revocation list of {issuer.parent} names it, and OCSP calls it and all its certificates "
        "revoked (cACompromise).",
        *reaching.beforehand(),
    ]


def _devices(number: Bounded) -> str:
    return "1 device has" if number.number == 1 else f"{number} devices have"
