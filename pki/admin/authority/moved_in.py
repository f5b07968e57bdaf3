"""What is to be done once a CA was imported, each step with the page where it is done."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils import timezone

from pki.admin.navigation import link
from pki.core import certificates
from pki.models import Issuer, Profile
from pki.services.issuing import authorities
from pki.services.issuing.listener_certificates import SERVER_PROFILE
from pki.services.moving.bringing import Arrived
from pki.services.trusting.anchors import anchors


@dataclass(frozen=True)
class Step:
    """A step; its address is empty for who may not take it."""

    title: str
    why: str
    url: str = ""


def steps(request: HttpRequest, arrived: Arrived) -> Iterator[Step]:
    """What comes next, in the order in which it is done (docs/moving-in.md)."""
    may, issuer = request.user.has_perm, arrived.issuer
    yield _profile(arrived.profile, may("pki.view_profile"), may("pki.add_profile"))
    yield from _trust(authorities.root_of(issuer), may("pki.change_issuer"), may("pki.change_profile"))
    if issuer.is_root and certificates.has_room(issuer.certificate, 1):
        yield Step(
            "Make a CA below it",
            "and let that one sign, since the key of this one lay in files. Devices trust it at once.",
            link("pki_issuer_add") if may("pki.add_issuer") else "",
        )
    yield Step(
        "Put openssl ca away",
        "what it signs from now on is unknown here. Then take its key off that machine.",
    )


def _profile(profile: Profile | None, may_view: bool, may_add: bool) -> Step:
    if profile is None:
        return Step(
            "Make a profile that names it",
            "it signs for nobody before.",
            link("pki_profile_add") if may_add else "",
        )
    return Step(
        f"Look at the profile {profile}",
        f"new devices of this CA have it; the certificates that they get here live {profile.lifetime.days} "
        "days, whatever they lived before.",
        link("pki_profile_change", profile.pk) if may_view else "",
    )


def _trust(root: Issuer, may_publish: bool, may_switch: bool) -> Iterator[Step]:
    server = Profile.objects.select_related("issuer__parent").filter(name=SERVER_PROFILE).first()
    if server is None or authorities.root_of(server.issuer) == root:
        return
    if root not in anchors(timezone.now()).trusted:
        yield Step(
            f"Publish {root}",
            "devices that enrolled here are told to trust it, by the trust bundle.",
            link("pki_issuer_publish_root", root.pk) if may_publish else "",
        )
    yield Step(
        f"Give the profile {server} an issuer below {root}",
        "once they have fetched the trust bundle. Until then the imported devices do not trust Hatchery's "
        "own listeners.",
        link("pki_profile_change", server.pk) if may_switch else "",
    )
