"""Webhooks: addresses that are told of notices by signed POSTs (Standard Webhooks 1.0.0)."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError

from pki.core import destinations
from pki.core.errors import Refusal
from pki.models import Delivery, Notice, Webhook
from pki.services import audit
from pki.services.audit import Actor
from pki.services.telling import deliveries, secrets
from pki.services.telling.kinds import KINDS, TEST
from pki.services.transactions import writing

_LONGEST_NAME = 64


class WebhookExists(Refusal):
    """There is a webhook of this name already."""

    code = "webhook_exists"


class WebhookRefused(Refusal):
    """Its name or its kinds are not such as a webhook may have."""

    code = "webhook_refused"


class WebhookUnknown(Refusal):
    """There is no such webhook (any more)."""

    code = "webhook_unknown"


def add(name: str, url: str, kinds: Sequence[str], actor: Actor, now: datetime) -> Webhook:
    """Add a webhook for these kinds of notices; none are all.

    Raises WebhookExists, WebhookRefused or DestinationRefused.
    """
    webhook = Webhook(
        name=_checked_name(name),
        url=_checked_url(url),
        kinds=_checked_kinds(kinds),
        secret_salt=secrets.new_salt(),
        created_at=now,
        created_by=actor.name,
    )
    _save(webhook, "webhook.added", actor, now)
    return webhook


def change(
    webhook: Webhook,
    actor: Actor,
    now: datetime,
    *,
    name: str | None = None,
    url: str | None = None,
    kinds: Sequence[str] | None = None,
    enabled: bool | None = None,
) -> Webhook:
    """Change what is given. A disabled one is told of nothing new, and what waits for it waits on.

    Raises WebhookExists, WebhookRefused, DestinationRefused or WebhookUnknown.
    """
    with writing():
        held = _held(webhook)
        held.name = held.name if name is None else _checked_name(name)
        held.url = held.url if url is None else _checked_url(url)
        held.kinds = held.kinds if kinds is None else _checked_kinds(kinds)
        held.enabled = held.enabled if enabled is None else enabled
        given = {"name": name, "url": url, "kinds": kinds, "enabled": enabled}
        changed = [key for key, value in given.items() if value is not None]
        _save(held, "webhook.changed", actor, now, changed=changed)
    return held


def remove(webhook: Webhook, actor: Actor, now: datetime) -> None:
    """Remove a webhook and the log of its deliveries; what waits is not sent. Raises WebhookUnknown."""
    with writing():
        held = _held(webhook)
        waiting = Delivery.objects.filter(webhook=held, state=Delivery.State.PENDING).count()
        Delivery.objects.filter(webhook=held).delete()
        _record("webhook.removed", held, actor, now, unsent=waiting or None)
        held.delete()


def renew_secret(webhook: Webhook, actor: Actor, now: datetime) -> Webhook:
    """Give it another secret; the one before signs nothing any more. Raises WebhookUnknown."""
    with writing():
        held = _held(webhook)
        held.secret_salt = secrets.new_salt()
        _save(held, "webhook.secret_renewed", actor, now)
    return held


def secret_of(webhook: Webhook) -> str:
    """What its POSTs are signed with, as receivers want it: `whsec_` and base64."""
    return secrets.written(webhook)


def show_secret(webhook: Webhook, actor: Actor, now: datetime) -> str:
    """The same, for somebody who asks for it; that he did is on record. Raises WebhookUnknown."""
    with writing():
        held = _held(webhook)
        _record("webhook.secret_shown", held, actor, now)
    return secret_of(held)


def send_test(webhook: Webhook, actor: Actor, now: datetime) -> Delivery:
    """Send it a notice that says nothing, now and once; the outcome, after at most some 10 seconds.

    Not for who is in a transaction. Raises WebhookUnknown.
    """
    with writing():
        held = _held(webhook)
        notice = Notice.objects.create(
            kind=TEST, at=now, summary=f"A test of the webhook {held.name}; nothing happened."
        )
        delivery = deliveries.claimed_at_birth(notice, held, now)
        _record("webhook.tested", held, actor, now, level=logging.INFO)
    return deliveries.send_claimed(delivery, now)


def _save(webhook: Webhook, kind: str, actor: Actor, now: datetime, **detail: Any) -> None:
    try:
        with writing():
            webhook.save()
            # The host alone: many services write a secret into the rest of the URL.
            _record(kind, webhook, actor, now, host=destinations.parse(webhook.url).host, **detail)
    except IntegrityError as error:
        raise WebhookExists(f"There is a webhook {webhook.name!r} already; choose another name.") from error


def _record(
    kind: str, webhook: Webhook, actor: Actor, now: datetime, level: int = logging.WARNING, **detail: Any
) -> None:
    # With its number, by which its history is found whatever it was called.
    audit.record(kind, actor, now, level=level, number=webhook.pk, name=webhook.name, **detail)


def _held(webhook: Webhook) -> Webhook:
    held = Webhook.objects.select_for_update().filter(pk=webhook.pk).first()
    if held is None:
        raise WebhookUnknown(f"There is no webhook {webhook.name!r} any more.")
    return held


def _checked_name(name: str) -> str:
    name = name.strip()
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise WebhookRefused(f"A webhook's name has 1 to {_LONGEST_NAME} characters, all printable.")
    return name


def _checked_url(url: str) -> str:
    """Raises DestinationRefused. Where a name leads is seen each time it is sent to."""
    networks = settings.PORTAL_WEBHOOK_NETWORKS
    destination = destinations.parse(url.strip())
    if destination.is_plain and not networks:
        raise destinations.DestinationRefused(
            "The URL must begin with https://; http:// may lead to networks of PORTAL_WEBHOOK_NETWORKS alone."
        )
    if destination.is_literal and not destinations.may_be_reached(destination.host, networks):
        raise destinations.DestinationRefused(
            f"{destination.host} is not a public address; PORTAL_WEBHOOK_NETWORKS names the networks that "
            "may be reached besides."
        )
    return url.strip()


def _checked_kinds(wanted: Sequence[str]) -> list[str]:
    unknown = sorted(set(wanted) - set(KINDS))
    if unknown:
        raise WebhookRefused(f"There is no kind of notice {unknown[0]!r}; choose from {', '.join(KINDS)}.")
    return [kind for kind in KINDS if kind in wanted]
