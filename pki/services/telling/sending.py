"""Sending a notice once, to one receiver or to several at a time; no database is asked meanwhile."""

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from pki.core import destinations, webhook_signatures
from pki.core.errors import Refusal
from pki.models import Delivery, Notice, Webhook
from pki.services.telling import mail, notices, posting
from pki.services.telling.secrets import key_of

log = logging.getLogger("hatchery.deliveries")


@dataclass(frozen=True)
class Answer:
    """What became of a try: the HTTP status, if there was one, and what is wrong, if anything."""

    status: int | None = None
    error: str = ""


def all_tried(deliveries: Sequence[Delivery], moment: datetime) -> list[Answer]:
    """Send them side by side."""
    answers: dict[int, Answer] = {}

    def send(delivery: Delivery) -> None:
        answers[delivery.pk] = tried(delivery, moment)

    # Daemons: a process that is to end does not wait for a slow receiver, and the lease is there for that.
    threads = [threading.Thread(target=send, args=[each], daemon=True) for each in deliveries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[each.pk] for each in deliveries]


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
    return {
        "type": notice.kind,
        "timestamp": notices.moment(notice.at),
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
