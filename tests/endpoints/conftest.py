"""The listeners' endpoints in this process: a request goes through everything but sockets."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.test.client import ClientHandler
from django.urls import set_urlconf

from pki.models import Certificate
from portal.listeners import all_listeners
from portal.wsgi import DeviceHandler
from tests.contract import assert_documented


class InProcessHandler(ClientHandler, DeviceHandler):
    """Django's test client over the handler that serves devices, which finds the listener's URLconf."""


class ListenerClient(Client):
    """A client of one listener. Whatever fails, it sees what a client on the wire would see, and whatever
    is answered, the listener's OpenAPI document says so.

    `provisioning.post("/sign-csr", pem, token=secret)` is `curl --data-binary`; everything else is
    `django.test.Client`.
    """

    def __init__(self, listener: str) -> None:
        # All that the handler asks of gunicorn's socket.
        self.listener = listener
        socket = SimpleNamespace(listener=all_listeners()[listener], peer_certificate=None)
        super().__init__(raise_request_exception=False, **{"gunicorn.socket": socket})
        self.handler = InProcessHandler()

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().generic(method, path, *args, **{**kwargs, "secure": True})
        asked = response.wsgi_request
        assert_documented(
            *(self.listener, method, asked.path_info),
            *(response.status_code, response.headers, response.content),
        )
        return response

    def post(
        self,
        path: str,
        body: bytes = b"",
        content_type: str = "application/x-www-form-urlencoded",
        *,
        token: str | None = None,
        **environ: Any,
    ) -> HttpResponse:
        """Post bytes; `environ` overrides what WSGI says of the request."""
        environ.setdefault("wsgi.input", BytesIO(body))
        environ.setdefault("CONTENT_TYPE", content_type)
        if token is not None:
            environ = {"HTTP_AUTHORIZATION": f"Bearer {token}", **environ}
        return self.generic("POST", path, body, content_type, **environ)


class DeviceClient(ListenerClient):
    """A client of the secure listener that has shown a certificate in its handshake."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__("secure")
        self.defaults["gunicorn.socket"] = SimpleNamespace(
            listener=all_listeners()["secure"],
            peer_certificate=certificate.parsed,
            protocol="TLSv1.3",
            cipher="TLS_AES_128_GCM_SHA256",
            resumed=False,
        )


@pytest.fixture(autouse=True)
def _listeners_urls_stay_here():
    """A handler leaves its listener's URLconf to the thread until the next request."""
    yield
    set_urlconf(None)


@pytest.fixture
def provisioning(ca) -> ListenerClient:
    """A client of the provisioning listener, in front of a bootstrapped CA."""
    return ListenerClient("provisioning")


@pytest.fixture
def status(ca) -> ListenerClient:
    """The same of the status listener."""
    return ListenerClient("status")
