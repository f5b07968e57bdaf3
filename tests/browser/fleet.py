"""A fleet to look at: a few dozen devices in all states, with a month behind them.

`python -m tests.browser.fleet` makes it through the services, inside the installation that the environment
names, and prints as JSON which row of each model has the most to show.
"""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from itertools import cycle

from tests.server import ROOT, Server

PASSWORD = "a-password-for-tests"
PASSWORDS = {"admin": PASSWORD, "olga": PASSWORD, "vera": PASSWORD, "carl": PASSWORD, "ahmed": PASSWORD}
_ROLES = {"olga": "Operator", "vera": "Viewer", "carl": "CA administrator", "ahmed": "Auditor"}


def make_in(server: Server) -> str:
    """Make the fleet in a server's installation; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.fleet"],
        cwd=ROOT,
        env=server.environment,
        capture_output=True,
        timeout=300,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return done.stdout.decode()


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()

    from django.utils import timezone

    from pki.services.auditing import sealing

    now = timezone.now()
    _people(now)
    richest = _devices(now)
    _lists(now)
    _requests_and_tokens(now)
    _upkeep(richest, now)
    # The first one is of what bootstrapping and the fleet are on record with; a server may seal meanwhile.
    sealing.seal(now)
    print(json.dumps(_rows(richest)))


def _people(now: datetime) -> None:
    from django.contrib.auth.models import Group, User

    from pki.models import LoginKey

    for name, role in _ROLES.items():
        user = User.objects.create_user(name, password=PASSWORD, is_staff=True)
        user.groups.add(Group.objects.get(name=role))
    LoginKey.objects.create(
        user=User.objects.get(username="olga"),
        spki_sha256="0" * 64,
        name="Olga's laptop",
        created_at=now,
        created_by="admin",
    )


def _devices(now: datetime):
    """Devices of three sites; the one with the longest story."""
    from pki.models import DeviceGroup, Label, LastSeen, Revocation
    from pki.services.revoking import revocation
    from tests.services.cast import DAY, TESTER, change_state, issue, registered, token_for

    words = {name: Label.objects.create(name=name) for name in ("beta", "outdoor")}
    reasons = cycle([Revocation.Reason.SUPERSEDED, Revocation.Reason.KEY_COMPROMISE])
    for site, kind in (("berlin", "door"), ("lisbon", "sensor"), ("tokyo", "camera")):
        group = DeviceGroup.objects.create(name=site, description=f"All {kind}s in {site.title()}")
        for number in range(1, 13):
            made = now - (31 - 2 * number) * DAY - timedelta(hours=number)
            device = registered(f"{site}-{kind}-{number:02}", made)
            device.groups.add(group)
            if number % 3 == 0:
                device.labels.add(words["beta" if number % 2 else "outdoor"])
            if number == 12:
                continue  # never enrolled
            old, certificate = issue(device, made), issue(device, made + DAY)
            if number % 4 == 0:
                revocation.revoke([old], next(reasons), TESTER, made + DAY)
            LastSeen.objects.create(
                device=device,
                at=now - timedelta(minutes=number**3),
                address=f"192.0.2.{number}",
                tls_version="TLSv1.3",
                certificate=certificate,
            )
            if number in (5, 6):
                change_state(device, "suspended" if number == 5 else "retired", now)
    richest = DeviceGroup.objects.get(name="berlin").devices.get(name="berlin-door-08")
    token_for(richest, now)
    return richest


def _lists(now: datetime) -> None:
    """A second shard of the issuing CA's revocation list, as if the first were full; its OCSP responder."""
    from pki.models import Issuer
    from pki.services.publishing import revocation_lists
    from tests.services.cast import responder_of

    revocation_lists.SHARD_SIZE = 20
    revocation_lists.roll(now)
    responder_of(Issuer.objects.get(parent__isnull=False), now)


def _requests_and_tokens(now: datetime) -> None:
    from pki.core.errors import Refusal
    from pki.models import Profile
    from pki.services.enrolling import approval, tokens
    from tests.services.cast import DAY, TESTER, Gadget, pattern_token, registered, set_policy, token_for

    pattern_token("lamp-*", now - 2 * DAY)  # expired
    Gadget("lamp-1").enroll(pattern_token("lamp-*", now, uses=5), now)
    _, cancelled = tokens.make(TESTER, now, registered("lamp-2", now).profile, name_pattern="lamp-2")
    tokens.cancel(cancelled, TESTER, now)
    mismatched = token_for(registered("lamp-3", now), now)
    for name, secret in (("<script>alert(1)</script>", mismatched), ("lamp-9", None)):
        try:
            Gadget(name).enroll(secret, now)
        except Refusal:
            pass  # what the inbox is to show
    # Devices without a token wait from here on; with one, they enroll as before.
    set_policy(Profile.Policy.APPROVAL)
    waiting = [
        Gadget(f"gate-{number}").enroll(None, now - number * timedelta(hours=3)) for number in range(5)
    ]
    approval.reject(waiting[-1].pk, "We do not know this gate.", TESTER, now)


def _upkeep(richest, now: datetime) -> None:
    """A campaign that is at work, one that is a draft, renewals, notices, and what devices are to trust."""
    from pki.models import Campaign, CampaignMember, DeviceGroup, Issuer
    from pki.services.rotating import campaigns
    from pki.services.rotating.drafting import Plan
    from pki.services.rotating.selection import Selection
    from tests.services.cast import DAY, TESTER, issue
    from tests.upkeep import bundled, given_up, renewed

    renewed(richest.certificates.latest("pk"), issue(richest, now), now)
    # Of an hour ago: a server that runs meanwhile leads it on, and must have nothing to do at first.
    begun = now - timedelta(hours=1)
    lisbon = Selection(group=DeviceGroup.objects.get(name="lisbon"))
    keys = campaigns.draft(
        "Lisbon: new keys", Campaign.Kind.KEY, lisbon, Plan(canary_percent=50), TESTER, begun
    )
    campaigns.start(keys, TESTER, begun)
    campaigns.step(begun)
    asked = CampaignMember.objects.filter(campaign=keys, state="asked").order_by("place")
    for member, state in zip(asked, ("moved", "renewed", "failed"), strict=False):
        reason = "The key was certified before; make a new one." if state == "failed" else ""
        CampaignMember.objects.filter(pk=member.pk).update(state=state, reason=reason)
    tokyo = Selection(
        from_issuer=Issuer.objects.get(parent__isnull=False), group=DeviceGroup.objects.get(name="tokyo")
    )
    campaigns.draft("Tokyo: keys of spring", Campaign.Kind.KEY, tokyo, Plan(), TESTER, begun)
    given_up(now)
    bundled(now - 3 * DAY, version=1)
    bundled(now, version=2)


def _rows(richest) -> dict[str, str]:
    from django.apps import apps

    firsts = {model._meta.label: model._default_manager.order_by("pk").first() for model in apps.get_models()}
    firsts["pki.Device"] = richest
    firsts["pki.Issuer"] = richest.profile.issuer
    firsts["pki.RevocationList"] = richest.profile.issuer.revocation_lists.get(shard=1)
    firsts["pki.Campaign"] = type(firsts["pki.Campaign"]).objects.get(state="canary")
    firsts["pki.CampaignMember"] = firsts["pki.Campaign"].members.get(state="failed")
    firsts["pki.Certificate"] = richest.certificates.order_by("pk").last()
    return {label: str(row.pk) for label, row in firsts.items() if row is not None}


if __name__ == "__main__":
    main()
