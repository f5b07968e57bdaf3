"""Locking out who guesses passwords: django-axes counts, and the audit trail knows.

Locked is a name from an address, so that nobody can lock out an administrator who sits elsewhere; and, by a
higher limit, an address for all names.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from axes.handlers.database import AxesDatabaseHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Max, QuerySet
from django.db.models.signals import pre_save
from django.dispatch import receiver
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from pki.core.visitors import network
from pki.services import audit
from pki.services.audit import Actor
from pki.services.transactions import writing


def _digest(name: str) -> str:
    return salted_hmac("pki.services.people.lockout", name, algorithm="sha256").hexdigest()


def name_kept(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str:
    """What stands for a name that was tried: people type passwords into the wrong field."""
    given = (credentials or {}).get("username") or request.POST.get("username") or ""
    return _digest(str(given))


def address_kept(request: HttpRequest) -> str | None:
    """The connection's address, without asking a header; of IPv6 the first one of the visitor's /64."""
    return network(request.META.get("REMOTE_ADDR") or None).partition("/")[0] or None


def locked_until(request: HttpRequest, credentials: dict[str, Any] | None) -> datetime:
    """When who is locked out may try again, if nobody fails meanwhile at the same address."""
    tried = _of_this_time(AccessAttempt.objects.filter(ip_address=address_kept(request)))
    of_name = tried.filter(username=name_kept(request, credentials))
    reached = _failures(of_name) >= settings.AXES_FAILURE_LIMIT
    latest = (of_name if reached else tried).aggregate(latest=Max("attempt_time"))["latest"]
    cool_off: timedelta = settings.AXES_COOLOFF_TIME
    until: datetime = (latest or timezone.now()) + cool_off
    return until


def release(actor: Actor, now: datetime, *, user: str = "", address: str = "") -> int:
    """Forget wrong passwords: a user's, an address's, or all; how many records there were.

    Raises ValueError if `address` is none.
    """
    attempts = AccessAttempt.objects.all()
    if user:
        attempts = attempts.filter(username=_digest(user))
    if address:
        attempts = attempts.filter(ip_address=network(address).partition("/")[0])
    with writing():
        count, _ = attempts.delete()
        audit.record("login.unlocked", actor, now, user=user, unlocked_address=address, records=count)
    return int(count)


def _failures(attempts: QuerySet[AccessAttempt]) -> int:
    return sum(int(number) for number in attempts.values_list("failures_since_start", flat=True))


def _of_this_time(attempts: QuerySet[AccessAttempt]) -> QuerySet[AccessAttempt]:
    """Without those to come: a clock that was ahead noted them, and they would count until then."""
    return attempts.filter(attempt_time__lte=timezone.now() + settings.AXES_COOLOFF_TIME)


class Lockout(AxesDatabaseHandler):  # type: ignore[misc]  # axes has no types
    """What axes does at a login, a logout and a wrong password; each is put on record."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Axes' one limit, reached by those of a name at an address or by those of an address."""
        of_name, of_address = map(_failures, self.get_user_attempts(request, credentials))
        scaled = of_address * settings.AXES_FAILURE_LIMIT // settings.PORTAL_LOGIN_FAILURES_OF_ADDRESS
        return max(of_name, scaled)

    def get_user_attempts(
        self, request: HttpRequest, credentials: dict[str, Any] | None = None
    ) -> list[QuerySet[AccessAttempt]]:
        return [_of_this_time(found) for found in super().get_user_attempts(request, credentials)]

    def reset_user_attempts(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        # Not the address's: who has an account would have as many guesses at others' as they like.
        of_name, _ = self.filter_user_attempts(request, credentials)
        count, _ = of_name.delete()
        return int(count)

    def user_login_failed(
        self, sender: Any, credentials: dict[str, Any], request: Any = None, **kwargs: Any
    ) -> None:
        if request is None:
            return  # a shell, which needs no password
        locked_already = request.axes_locked_out
        # A row for a name and an address; what else the client says of itself tells nothing.
        request.axes_user_agent = request.axes_http_accept = ""
        with writing():
            if not locked_already:
                self._record("login.failed", request, credentials)
            super().user_login_failed(sender, credentials, request, **kwargs)
            if request.axes_locked_out and not locked_already:
                self._record("login.locked", request, credentials)

    def user_logged_in(self, sender: Any, request: Any, user: User, **kwargs: Any) -> None:
        with writing():
            super().user_logged_in(sender, request, user, **kwargs)
            audit.record(
                "login.succeeded",
                Actor.administrator(user, request.META.get("REMOTE_ADDR")),
                timezone.now(),
                certificate=getattr(request, "login_certificate", None),
            )

    def user_logged_out(self, sender: Any, request: Any, user: User | None, **kwargs: Any) -> None:
        with writing():
            super().user_logged_out(sender, request, user, **kwargs)
            if user is not None:
                actor = Actor.administrator(user, request.META.get("REMOTE_ADDR"))
                audit.record("logout", actor, timezone.now())

    @staticmethod
    def _record(kind: str, request: HttpRequest, credentials: dict[str, Any]) -> None:
        name = str(credentials.get("username") or "")
        known = User.objects.filter(username=name).exists() if "\0" not in name else False
        audit.record(
            kind,
            Actor.anonymous(request.META.get("REMOTE_ADDR") or None),
            timezone.now(),
            level=logging.WARNING,
            # What is no user's name may be a password.
            name=name if known else None,
            explanation=None if known else "no user has the name that was given",
            asked_again=request.user.is_authenticated if hasattr(request, "user") else None,
        )


@receiver(pre_save, sender=AccessAttempt)
def keep_no_forms(instance: AccessAttempt, **_: Any) -> None:
    """Axes would keep what was sent, and with a wrong password there may come keys and tokens."""
    instance.get_data = instance.post_data = ""
