"""What webhooks are signed with: derived, so that who reads the database alone cannot sign."""

import secrets
from base64 import b64encode

from django.utils.crypto import salted_hmac

from pki.models import Webhook


def key_of(webhook: Webhook) -> bytes:
    """The key of a webhook's signatures, 32 bytes: by SECRET_KEY and the salt of its row."""
    return salted_hmac("pki.webhook", webhook.secret_salt, algorithm="sha256").digest()


def written(webhook: Webhook) -> str:
    """The same as receivers' libraries want it (Standard Webhooks 1.0.0): `whsec_` and base64."""
    return f"whsec_{b64encode(key_of(webhook)).decode()}"


def new_salt() -> str:
    return secrets.token_hex(16)
