"""Webhooks: addresses that are told of notices by signed POSTs (Standard Webhooks)."""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime

from django.utils.crypto import salted_hmac

from pki.core.errors import Refusal
from pki.models import Delivery, Webhook
from pki.services.audit import Actor


class WebhookExists(Refusal):
    """There is a webhook of this name already."""

    code = "webhook_exists"


class WebhookRefused(Refusal):
    """Its name, its URL or its kinds are not such as a webhook may have."""

    code = "webhook_refused"


class WebhookUnknown(Refusal):
    """There is no such webhook (any more)."""

    code = "webhook_unknown"


def add(name: str, url: str, kinds: Sequence[str], actor: Actor, now: datetime) -> Webhook:
    """Add a webhook for these kinds of notices; none are all. Raises WebhookExists or WebhookRefused."""
    raise NotImplementedError


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
    """Change what is given. A disabled one is told of nothing, and what waits for it waits on.

    Raises WebhookExists, WebhookRefused or WebhookUnknown.
    """
    raise NotImplementedError


def remove(webhook: Webhook, actor: Actor, now: datetime) -> None:
    """Remove a webhook and the log of its deliveries. Raises WebhookUnknown."""
    raise NotImplementedError


def renew_secret(webhook: Webhook, actor: Actor, now: datetime) -> Webhook:
    """Give it another secret; the one before signs nothing any more. Raises WebhookUnknown."""
    raise NotImplementedError


def secret_of(webhook: Webhook) -> str:
    """What its POSTs are signed with, as receivers want it: `whsec_` and base64."""
    return f"whsec_{b64encode(_key(webhook)).decode()}"


def send_test(webhook: Webhook, actor: Actor, now: datetime) -> Delivery:
    """Send it a notice that says nothing, now and once, and wait for the outcome: at most some 10 seconds.

    Raises WebhookUnknown.
    """
    raise NotImplementedError


def _key(webhook: Webhook) -> bytes:
    # Derived: who reads the database alone cannot sign.
    return salted_hmac("pki.webhook", webhook.secret_salt, algorithm="sha256").digest()


def _new_salt() -> str:
    return secrets.token_hex(16)
