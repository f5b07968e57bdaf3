"""Notices: what somebody should know, and to whom each goes."""

from datetime import datetime
from typing import Any

from django.conf import settings

from pki.core.names import url_host
from pki.models import Delivery, Notice, Webhook
from pki.services.telling import mail
from pki.services.transactions import writing

# Of many, so many are named.
MOST_NAMED = 50
_LONGEST_SUMMARY = 200


def tell(kind: str, summary: str, now: datetime, count: int = 1, **detail: Any) -> Notice:
    """Keep a notice and what delivers it, inside the caller's transaction if there is one.

    It goes by mail, if that is set up, and to each enabled webhook that wants its kind. `summary` is one
    sentence; `detail` is JSON that anybody may see who is told.
    """
    with writing():
        notice = Notice.objects.create(
            kind=kind,
            at=now,
            # One line: it becomes a mail's subject.
            summary=" ".join(summary.split())[:_LONGEST_SUMMARY],
            count=count,
            detail={key: value for key, value in detail.items() if value not in (None, [], "")},
        )
        # Held, so that none is removed before its delivery is there.
        webhooks = Webhook.objects.filter(enabled=True).order_by("pk").select_for_update(no_key=True)
        wanted: list[Webhook | None] = [each for each in webhooks if not each.kinds or kind in each.kinds]
        if mail.is_set_up():
            wanted.append(None)
        Delivery.objects.bulk_create(
            Delivery(notice=notice, webhook=webhook, next_at=now, created_at=now) for webhook in wanted
        )
    return notice


def url(notice: Notice) -> str:
    """Where the console shows it."""
    console = f"https://{url_host(settings.PORTAL_HOSTNAMES[0])}:{settings.PORTAL_PORT_CONSOLE}"
    return f"{console}/admin/pki/notice/{notice.pk}/change/"
