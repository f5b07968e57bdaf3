"""Notices by mail, through whatever EMAIL_URL names."""

import smtplib
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage

from pki.core.errors import Refusal
from pki.models import Notice
from pki.services.telling import moments


class MailFailed(Refusal):
    """A mail could not be handed over."""

    code = "mail_failed"


def is_set_up() -> bool:
    """Whether there is somebody to write to, and a way to do so."""
    return bool(settings.PORTAL_MAIL_IS_SET_UP)


def send(notice: Notice, link: str) -> None:
    """Mail a notice to all of PORTAL_NOTICE_MAIL, with a link to it. Raises MailFailed."""
    message = EmailMessage(
        f"[Hatchery] {notice.summary}",
        "\n".join(_lines(notice, link)),
        settings.PORTAL_NOTICE_FROM,
        settings.PORTAL_NOTICE_MAIL,
        # RFC 3834 5: nobody's absence note is to answer.
        headers={"Auto-Submitted": "auto-generated"},
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise MailFailed(f"The mail could not be handed over: {_reason(error)}.") from None


def _lines(notice: Notice, link: str) -> Iterator[str]:
    yield notice.summary
    yield ""
    # In minutes: one event, and several of one minute, have one.
    when = dict.fromkeys(f"{at:%Y-%m-%d %H:%M}" for at in moments.span(notice))
    yield f"When: {' to '.join(when)} UTC"
    for key, value in notice.detail.items():
        if key in (moments.FIRST, moments.LAST):
            continue
        words = key.replace("_", " ").capitalize()
        if isinstance(value, list):
            yield f"{words}:"
            yield from (f"  {_in_words(each)}" for each in value)
        else:
            yield f"{words}: {_in_words(value)}"
    yield ""
    yield link


def _in_words(value: Any) -> str:
    return ", ".join(str(each) for each in value.values()) if isinstance(value, dict) else str(value)


def _reason(error: smtplib.SMTPException | OSError) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        # A server's words may quote what was sent: an address, or a user's name.
        return f"the mail server answered {error.smtp_code}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "the mail server refused all who are to be told"
    if isinstance(error, TimeoutError):
        return "the mail server did not answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
