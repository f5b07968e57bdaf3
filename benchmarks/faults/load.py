"""Devices that enroll without end: each with a token for one use and a new key, and patience."""

import hashlib
import itertools
import queue
import random
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.clients import make_csr
from tests.live.devices import Answer, Connection
from tests.server import ROOT, Server

PREFIX = "fault"
_BATCH = 100  # tokens
_PAUSE = 0.2  # seconds at most, between two devices of a client
_AGAIN = 0.2  # seconds between two tries; what 503 asks for in Retry-After, a minute, would spare the server
_PATIENCE = 180.0  # seconds, then a device has failed for good
_LOST = 0.05  # of the answers: the device asks once more, as if it had not got this one


@dataclass(frozen=True)
class Held:
    """What a device was given."""

    name: str
    token: str  # its digest
    fingerprint: str  # SHA-256, hex


@dataclass
class Told:
    """What all devices together have seen."""

    held: list[Held] = field(default_factory=list)
    served: list[tuple[float, float]] = field(default_factory=list)  # requests: when sent, when answered
    retries: int = 0
    refused: int = 0  # of these, after a 503
    asked_again: int = 0  # by devices that had the answer already
    failures: list[str] = field(default_factory=list)

    def has_served_since(self, moment: float) -> bool:
        return bool(self.served) and self.served[-1][0] > moment


class Mint:
    """Makes tokens by the shell, a batch at a time, for as long as that takes."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._tokens: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._turn = threading.Lock()

    def token(self) -> str:
        with self._turn:
            deadline = time.monotonic() + _PATIENCE
            while self._tokens.empty():
                if time.monotonic() > deadline:
                    raise RuntimeError("no tokens can be made")
                for made in self._made():
                    self._tokens.put(made)
            return self._tokens.get()

    def _made(self) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.live.inside", "make_tokens", f"{PREFIX}-*", str(_BATCH)],
            cwd=ROOT,
            env=self._server.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stdout.split() if done.returncode == 0 else []


class Load:
    """Some clients, each a thread that plays one device after the other."""

    def __init__(self, server: Server, clients: int, dice: random.Random) -> None:
        self.told = Told()
        self._server, self._mint = server, Mint(server)
        self._context = ssl.create_default_context(cafile=str(server.demo / "ca.pem"))
        self._numbers = itertools.count(1)
        self._ended = threading.Event()
        seeds = [dice.random() for _ in range(clients)]
        self._threads = [
            threading.Thread(target=self._go_on, args=(random.Random(seed),), daemon=True) for seed in seeds
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Let each client finish with its last device."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, dice: random.Random) -> None:
        while not self._ended.is_set():
            name = f"{PREFIX}-{next(self._numbers)}"
            try:
                self._enroll(name, dice)
            except Exception as error:  # whatever it is, it is told in the end
                self.told.failures.append(f"{name}: {error!r}")
            self._ended.wait(dice.uniform(0, _PAUSE))

    def _enroll(self, name: str, dice: random.Random) -> None:
        token, key = self._mint.token(), ec.generate_private_key(ec.SECP256R1())
        body = make_csr(name, key=key)
        certificate = self._asked(token, body)
        if certificate.public_key() != key.public_key():
            raise RuntimeError("the certificate is for another key")
        if dice.random() < _LOST:
            self.told.asked_again += 1
            if self._asked(token, body) != certificate:
                raise RuntimeError("another certificate was given for the same token and key")
        digest = hashlib.sha256(token.encode()).hexdigest()
        self.told.held.append(Held(name, digest, certificate.fingerprint(SHA256()).hex()))

    def _asked(self, token: str, body: bytes) -> x509.Certificate:
        head = (
            f"POST /sign-csr HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        deadline = time.monotonic() + _PATIENCE
        while True:
            sent = time.monotonic()
            answer = self._answer(head.encode() + body)
            if answer.status == 200:
                self.told.served.append((sent, time.monotonic()))
                return x509.load_pem_x509_certificates(answer.body)[0]
            if answer.status not in (0, 503):
                raise RuntimeError(f"refused: {answer.status} {answer.body!r}")
            if sent > deadline:
                raise RuntimeError("no certificate in time")
            self.told.retries += 1
            self.told.refused += answer.status == 503
            time.sleep(_AGAIN)

    def _answer(self, request: bytes) -> Answer:
        try:
            with closing(Connection(self._server, "provisioning", self._context)) as connection:
                return connection.send(request)
        except (OSError, ValueError):  # refused, reset, or ended in the middle of anything
            return Answer(0, {}, b"")
