"""Notices by mail, over a real SMTP session."""

import socket

import pytest

from pki.models import Delivery
from pki.services.telling import deliveries, notices
from tests.services.mail_server import mail_server

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_smtp(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_TIMEOUT = 5
    settings.PORTAL_MAIL_IS_SET_UP = True
    settings.PORTAL_NOTICE_MAIL = ["ada@example.com", "grace@example.com"]
    settings.PORTAL_NOTICE_FROM = "hatchery@example.com"
    return settings


def told(now):
    return notices.tell(
        "certificate.expiring", "2 certificates end soon.", now, 2, certificates=[{"name": "door-1"}]
    )


def test_a_mail_is_handed_over_to_the_server(by_smtp, now):
    with mail_server() as server:
        by_smtp.EMAIL_PORT = server.port
        notice = told(now)
        assert deliveries.send_due(now) == 1
        (mail,) = server.mails
    assert "hatchery@example.com" in mail.sender
    assert len(mail.recipients) == 2
    assert "Subject: [Hatchery] 2 certificates end soon." in mail.text
    assert "Auto-Submitted: auto-generated" in mail.text
    assert "  door-1" in mail.text
    assert notices.url(notice) in mail.text


def test_a_server_that_refuses_is_said_without_its_words_and_tried_again(by_smtp, now):
    with mail_server() as server:
        by_smtp.EMAIL_PORT, server.refuses = server.port, True
        told(now)
        deliveries.send_due(now)
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("pending", 1)
        assert "the mail server refused all" in delivery.error
        assert "secret-password" not in delivery.error
        server.refuses = False
        deliveries.send_due(delivery.next_at)
        assert Delivery.objects.get().state == "delivered"


def test_a_server_that_is_not_there_is_said(by_smtp, now):
    with socket.create_server(("127.0.0.1", 0)) as free:
        by_smtp.EMAIL_PORT = free.getsockname()[1]
    told(now)
    deliveries.send_due(now)
    assert "Connection refused" in Delivery.objects.get().error
