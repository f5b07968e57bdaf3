"""Roots that devices are told to trust before anything hangs on them.

A listener with a certificate under a root that devices have not heard of locks them out.
"""

import logging
from datetime import datetime

from django.db.models import QuerySet

from pki.core.errors import Refusal
from pki.models import Issuer, TrustBundle
from pki.services import audit
from pki.services.audit import Actor
from pki.services.issuing import authorities
from pki.services.transactions import writing
from pki.services.trusting.anchors import anchors, needed, stands


class RootUnfit(Refusal):
    """Devices are not told to trust this issuer: it is no root, or none that may sign."""

    code = "root_unfit"


class RootInUse(Refusal):
    """Listeners are checked by this root."""

    code = "root_in_use"


class RootNotPublished(Refusal):
    """No trust bundle has told devices of this root yet."""

    code = "root_not_published"


def publish(root: Issuer, actor: Actor, now: datetime) -> bool:
    """Have the trust bundle name a root, from its next version on; whether that is new. Raises RootUnfit."""
    if not root.is_root or root.state != Issuer.State.ACTIVE or root.not_after <= now:
        raise RootUnfit(f"{root} cannot be published: only an active root can.")
    return _set(root, now, "issuer.published", actor, now)


def withdraw(root: Issuer, actor: Actor, now: datetime) -> bool:
    """Have the trust bundle name it no more, unless it must for other reasons; whether that is new.

    Raises RootInUse.
    """
    if root.pk in needed(now):
        raise RootInUse(
            f"{root} stays in the trust bundle: devices check our listeners by it. Give the profile server "
            "an issuer under another root first."
        )
    return _set(root, None, "issuer.withdrawn", actor, now)


def since(root: Issuer) -> datetime | None:
    """Since when each version of the trust bundle has named this root; None if the newest does not."""
    return _naming(root).values_list("made_at", flat=True).first()


def first_version(root: Issuer) -> int | None:
    """The first of the versions of the trust bundle that have named it since; None if the newest does not."""
    return _naming(root).values_list("version", flat=True).first()


def _naming(root: Issuer) -> QuerySet[TrustBundle]:
    """The versions since the last that did not name this root, the oldest first."""
    names_it = {"contents__contains": root.fingerprint}
    without = TrustBundle.objects.exclude(**names_it).order_by("-version")
    last = without.values_list("version", flat=True).first()
    after = TrustBundle.objects.filter(**names_it).order_by("version")
    if last is not None:
        after = after.filter(version__gt=last)
    return after


def require_published(issuer: Issuer, before: Issuer | None, now: datetime) -> None:
    """Raise RootNotPublished unless devices were told of the root above `issuer`, or know it as that above
    `before`; or that one stands no more, and nobody is served by it who could be locked out.
    """
    root = authorities.root_of(issuer)
    if before is not None:
        last = authorities.root_of(before)
        if last == root or not stands(last, now):
            return
    if since(root) is not None:
        return
    first = "Publish it on its page first" if root not in anchors(now).trusted else "The next one will"
    raise RootNotPublished(
        f"No trust bundle names {root} yet: devices would refuse our listeners with a certificate under it. "
        f"{first}; then wait until the devices have fetched that."
    )


def _set(root: Issuer, at: datetime | None, kind: str, actor: Actor, now: datetime) -> bool:
    before = Issuer.objects.filter(pk=root.pk, published_at__isnull=at is not None)
    with writing():
        changed = before.update(published_at=at)
        if changed:
            audit.record(kind, actor, now, level=logging.WARNING, issuer=root.name)
    return bool(changed)
