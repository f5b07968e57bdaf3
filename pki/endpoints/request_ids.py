"""A name for each request, by which a line of the log is found: the answer has it in X-Request-Id.

It is always ours. What a client sends in that header may be anything, also what another client was given: it
is kept beside ours where requests are logged, and believed by nobody.
"""

import re
import secrets
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each command of the shell reads this, for its log
    from django.http import HttpRequest

HEADER = "X-Request-Id"

_OFFERED = re.compile(r"[A-Za-z0-9._:+/=-]{1,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


class Named:
    """Gives what this thread does a name, until it is done.

    A class, because each request passes here: a generator would cost more than all else that names it.
    """

    __slots__ = ("_before",)

    def __enter__(self) -> str:
        name = secrets.token_hex(8)
        self._before = _current.set(name)
        return name

    def __exit__(self, *_: object) -> None:
        _current.reset(self._before)


def current() -> str:
    """The name of the request that this thread answers; empty for none."""
    return _current.get()


def offered(request: "HttpRequest") -> str:
    """The name that the client or its proxy gave the request; empty for none, or one that is no name."""
    sent: str = request.META.get("HTTP_X_REQUEST_ID", "")
    return sent if _OFFERED.fullmatch(sent) else ""
