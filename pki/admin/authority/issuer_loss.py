"""What is to be done once an issuer is lost: compromised, or below one that is."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.http import HttpRequest

from pki.admin.navigation import link
from pki.models import Profile
from pki.services.issuing.listener_certificates import SERVER_PROFILE
from pki.services.looking.lost_issuers import Loss


@dataclass(frozen=True)
class Step:
    """Something to do, and the page where it is done."""

    sentence: str
    link: str
    action: str


def why(loss: Loss) -> str:
    """`Root CA is compromised`, and what that has to do with the issuer."""
    if loss.by == loss.issuer:
        return f"{loss.issuer} is compromised"
    return f"{loss.by}, above {loss.issuer}, is compromised"


def of_profile(profile: Profile, loss: Loss, request: HttpRequest, listeners: Sequence[str] = ()) -> Step:
    """What makes a profile sign again, first of all; `listeners` are those that show what is refused."""
    what = f"The profile {profile} signs with {loss.issuer}. {why(loss)}: whatever is signed so is refused."
    if profile.name == SERVER_PROFILE:
        names = f" ({', '.join(listeners)})" if listeners else ""
        what = (
            f"Our own listeners{names} get their certificates, under the profile {profile}, from "
            f"{loss.issuer}. {why(loss)}: clients refuse them."
        )
    if loss.next is None:
        return Step(what, *_make(loss, request))
    return Step(what, link("pki_profile_change", profile.pk), f"Give the profile {profile} {loss.next}")


def steps(loss: Loss, profiles: Iterable[Profile], request: HttpRequest) -> Iterator[Step]:
    """All that is left to do, in its order."""
    if loss.next is None:
        yield Step("Nothing takes its place yet.", *_make(loss, request))
    else:
        for profile in profiles:
            yield of_profile(profile, loss, request)
    new_root = loss.next_of_by
    if new_root is not None and new_root.is_root:
        yield Step(
            f"Devices, and all others that check our listeners, need the root {new_root}. Who trusted the "
            "lost one alone cannot fetch it safely: bring it to them by hand, and take the lost one away.",
            link("pki_issuer_change", new_root.pk),
            "Download its PEM",
        )
    yield Step(
        "What its devices have is refused, so no campaign can move them: each needs a new token, and enrolls "
        "again. Choose them in the list, and New tokens.",
        link("pki_device_changelist", refused="lost"),
        "Look at the devices that are refused",
    )


def _make(loss: Loss, request: HttpRequest) -> tuple[str, str]:
    """Where the next issuer is made, and how that is called."""
    if not request.user.has_perm("pki.add_issuer"):
        return link("pki_issuer_change", loss.by.pk), f"Look at {loss.by}"
    if loss.next_of_by is None:
        return link("pki_issuer_next", loss.by.pk), f"Make the next issuer after {loss.by}"
    return link("pki_issuer_add"), f"Make an issuer below {loss.next_of_by}"
