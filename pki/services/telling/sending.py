"""Sending a notice once, to one receiver; no database is asked meanwhile."""

import json
import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue

from django.conf import settings

from pki.core import destinations, webhook_signatures
from pki.core.errors import Refusal
from pki.models import Delivery, Notice, Webhook
from pki.services.telling import mail, moments, notices, posting
from pki.services.telling.secrets import key_of

log = logging.getLogger("hatchery.deliveries")


@dataclass(frozen=True)
class Answer:
    """What became of a try: the HTTP status, if there was one, and what is wrong, if anything."""

    status: int | None = None
    error: str = ""


Answers = SimpleQueue[tuple[Delivery, Answer]]


def begin(delivery: Delivery, moment: datetime, answers: Answers) -> None:
    """Send it in a thread of its own, which puts what became of it among `answers`."""

    def send() -> None:
        answers.put((delivery, tried(delivery, moment)))

    # A daemon: a process that is to end does not wait for a slow receiver, and the lease is there for that.
    threading.Thread(target=send, daemon=True).start()


def tried(delivery: Delivery, moment: datetime) -> Answer:
    """Send it. Runs in a thread that has no database."""
    try:
        if delivery.webhook is None:
            if not mail.is_set_up():
                return Answer(error="Mail is not set up any more; see EMAIL_URL and PORTAL_NOTICE_MAIL.")
            mail.send(delivery.notice, notices.url(delivery.notice))
            return Answer()
        status = _posted(delivery.notice, delivery.webhook, moment)
    except Refusal as refusal:
        return Answer(error=refusal.detail)
    except Exception:
        # Else its lease would be all that ends it, again and again.
        log.exception("Delivery %d failed", delivery.pk)
        return Answer(error="It failed inside Hatchery; see its log.")
    if 200 <= status < 300:
        return Answer(status)
    return Answer(status, _said_by(status))


def _posted(notice: Notice, webhook: Webhook, moment: datetime) -> int:
    destination = destinations.parse(webhook.url)
    body = json.dumps(contents(notice), separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        **webhook_signatures.headers(key_of(webhook), number(notice), moment, body),
    }
    reach = posting.Reach(settings.PORTAL_WEBHOOK_NETWORKS, settings.PORTAL_WEBHOOK_CA_FILE)
    return posting.post(destination, headers, body, reach)


def contents(notice: Notice) -> dict[str, object]:
    """A notice as webhooks are sent it."""
    _, last = moments.span(notice)
    return {
        "type": notice.kind,
        # Standard Webhooks 1.0.0: when it occurred, and not when it is told.
        "timestamp": moments.written(last),
        "data": {
            "summary": notice.summary,
            "count": notice.count,
            "url": notices.url(notice),
            **notice.detail,
        },
    }


def number(notice: Notice) -> str:
    """What a notice is known by to receivers, however often it is sent."""
    # With its time: a database that was restored may give a number to another notice.
    return f"hatchery_{notice.pk}_{int(notice.at.timestamp())}"


def _said_by(status: int) -> str:
    if 300 <= status < 400:
        return f"The answer was {status}, and redirects are not followed; name the address that it leads to."
    return f"The answer was {status}."
