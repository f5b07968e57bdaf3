"""Clients that ask again and again whether a certificate is still good, each in a way of its own."""

import ssl
import threading
import time
from dataclasses import dataclass
from typing import Protocol

from tests.live.devices import Answer, Connection, Device
from tests.live.parties import Crl, Ocsp


class Client(Protocol):
    """One client at one node, with a device's certificate."""

    name: str
    bound: float  # seconds after which whoever asks is refused, counted from the answer to the revocation
    pause: float  # seconds between two questions

    def __init__(self, device: Device) -> None: ...

    def is_good(self) -> bool:
        """Ask once. Raises RuntimeError for what is neither a yes nor this refusal."""
        ...

    def close(self) -> None: ...


class NewConnections:
    """A handshake for each request, in which a revoked certificate is refused.

    Or the request is, if the revocation came between the two.
    """

    name, bound, pause = "new connection", 0.0, 0.0

    def __init__(self, device: Device) -> None:
        self._server = device.server
        self._context = device.context(version=ssl.TLSVersion.TLSv1_3)

    def is_good(self) -> bool:
        try:
            connection = Connection(self._server, "secure", self._context)
        except ConnectionRefusedError as error:
            raise RuntimeError("the server is gone") from error
        try:
            return _served(connection.get("/secure"))
        except (ssl.SSLError, ConnectionError):
            # TLS 1.3: the client learns only when it reads that the server refused its certificate.
            return False
        finally:
            connection.close()

    def close(self) -> None:
        pass


class KeptAlive:
    """One connection for all requests."""

    name, bound, pause = "kept alive", 0.0, 0.0

    def __init__(self, device: Device) -> None:
        self._connection = Connection(device.server, "secure", device.context(version=ssl.TLSVersion.TLSv1_3))

    def is_good(self) -> bool:
        return _served(self._connection.get("/secure"))

    def close(self) -> None:
        self._connection.close()


class Resumed:
    """A TLS 1.3 session that is resumed for each request."""

    name, bound, pause = "resumed session", 0.0, 0.0

    def __init__(self, device: Device) -> None:
        self._server = device.server
        self._context = device.context(version=ssl.TLSVersion.TLSv1_3)
        connection = Connection(self._server, "secure", self._context)
        _served(connection.get("/secure"))
        self._session = connection.tls.session
        connection.close()

    def is_good(self) -> bool:
        connection = Connection(self._server, "secure", self._context, self._session)
        try:
            good = _served(connection.get("/secure"))
            if not connection.tls.session_reused:
                raise RuntimeError("the session was not resumed")
            self._session = connection.tls.session
            return good
        finally:
            connection.close()

    def close(self) -> None:
        pass


class AskedByOcsp(Ocsp):
    """One OCSP request after the other, on a connection that is kept alive."""

    name, bound, pause = "OCSP", 0.0, 0.0


class ReadsCrl(Crl):
    """Fetches the list that the certificate names again, if it has changed."""

    name, bound, pause = "CRL", 5.0, 0.02


def _served(answer: Answer) -> bool:
    """Whether an answer is the page itself. Raises RuntimeError for any refusal but that of revocation."""
    if answer.status == 200:
        return True
    if answer.status != 403 or answer.code != "certificate_revoked":
        raise RuntimeError(f"{answer.status}: {answer.body[:300]!r}")
    return False


@dataclass(frozen=True)
class Poll:
    """A question and its answer; the moments are of `time.perf_counter`."""

    sent: float
    answered: float
    good: bool


class Watcher:
    """A client in a thread of its own, which asks back to back until it is told to stop."""

    def __init__(self, client: Client) -> None:
        self.polls: list[Poll] = []
        self.failed: Exception | None = None
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                sent = time.perf_counter()
                good = self._client.is_good()
                self.polls.append(Poll(sent, time.perf_counter(), good))
                time.sleep(self._client.pause)
        except Exception as error:
            self.failed = error
        finally:
            self._client.close()

    def wait_for(self, enough: int, since: float, *, good: bool, within: float) -> None:
        """Wait until there are so many answers of this kind to what was asked since then.

        Raises RuntimeError if they do not come, or if the client failed.
        """
        deadline = time.perf_counter() + within
        while sum(poll.good is good and poll.sent >= since for poll in self.polls) < enough:
            if self.failed is not None:
                raise RuntimeError("a client failed") from self.failed
            if time.perf_counter() > deadline:
                raise RuntimeError(f"no {'good' if good else 'refusing'} answer within {within:.0f} s")
            time.sleep(0.001)

    def stop(self) -> list[Poll]:
        self._stop.set()
        self._thread.join()
        if self.failed is not None:
            raise RuntimeError("a client failed") from self.failed
        return self.polls
