"""Notices by mail, through whatever EMAIL_URL names."""

import smtplib

from django.conf import settings
from django.core.mail import EmailMessage

from pki.core.errors import Refusal
from pki.models import Notice


class MailFailed(Refusal):
    """A mail could not be handed over."""

    code = "mail_failed"


def is_set_up() -> bool:
    """Whether there is somebody to write to, and a way to do so."""
    return bool(settings.PORTAL_NOTICE_MAIL and settings.PORTAL_MAIL_IS_SET_UP)


def send(notice: Notice, link: str) -> None:
    """Mail a notice to PORTAL_NOTICE_MAIL. Raises MailFailed."""
    message = EmailMessage(
        f"[Hatchery] {notice.summary}",
        _text(notice, link),
        settings.PORTAL_NOTICE_FROM,
        settings.PORTAL_NOTICE_MAIL,
    )
    try:
        message.send()
    except (smtplib.SMTPException, OSError) as error:
        raise MailFailed(f"The mail could not be handed over: {error}") from error


def _text(notice: Notice, link: str) -> str:
    raise NotImplementedError
