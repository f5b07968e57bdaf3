"""Signatures of webhooks (Standard Webhooks 1.0.0)."""

import hmac
from base64 import b64encode
from datetime import datetime


def headers(key: bytes, number: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a POST of `body`, sent `at` a moment; `number` stays the same when it is sent again."""
    seconds = int(at.timestamp())
    digest = hmac.digest(key, b"%s.%d.%s" % (number.encode(), seconds, body), "sha256")
    return {
        "webhook-id": number,
        "webhook-timestamp": str(seconds),
        # v1: HMAC-SHA-256 with a secret that both have.
        "webhook-signature": f"v1,{b64encode(digest).decode()}",
    }
