"""Clients that send TLS records which no library sends: messages after the handshake, without end.

They are encrypted here, by the secrets that the handshake made.
"""

import hmac
import os
import socket
from abc import ABC, abstractmethod

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from OpenSSL import SSL

_HANDSHAKE, _APPLICATION_DATA = 22, 23
_TLS12 = b"\x03\x03"


class Flooder(ABC):
    """A client of a connected socket, that has yet to shake hands."""

    def __init__(self, connected: socket.socket) -> None:
        self.raw = connected
        self.tls = SSL.Connection(self._context(), connected)
        self.tls.set_connect_state()

    @abstractmethod
    def records(self, number: int) -> bytes:
        """So many messages for which the server has nothing to give to its application, a record each."""

    @abstractmethod
    def _context(self) -> SSL.Context: ...


class KeyUpdates(Flooder):
    """RFC 8446 4.6.3: each has the key of those after it made anew."""

    _MESSAGE = bytes([24, 0, 0, 1, 0])  # update_not_requested

    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_tls13_ciphersuites(b"TLS_AES_128_GCM_SHA256")
        context.set_keylog_callback(lambda _, line: self._learn(line))
        return context

    def _learn(self, line: bytes) -> None:
        label, _, secret = line.split()
        if label == b"CLIENT_TRAFFIC_SECRET_0":
            self._secret = bytes.fromhex(secret.decode())

    def records(self, number: int) -> bytes:
        made = bytearray()
        for _ in range(number):
            made += self._first_record(_HANDSHAKE, self._MESSAGE)
            self._secret = self._expand(b"traffic upd", 32)
        return bytes(made)

    def data(self, data: bytes) -> bytes:
        """The same of an application's data, once."""
        return self._first_record(_APPLICATION_DATA, data)

    def _first_record(self, kind: int, content: bytes) -> bytes:
        """The one that is encrypted first with these keys."""
        key, nonce = self._expand(b"key", 16), self._expand(b"iv", 12)
        plain = content + bytes([kind])
        head = bytes([_APPLICATION_DATA]) + _TLS12 + (len(plain) + 16).to_bytes(2, "big")
        return head + AESGCM(key).encrypt(nonce, plain, head)

    def _expand(self, label: bytes, length: int) -> bytes:
        """RFC 8446 7.1: HKDF-Expand-Label."""
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return hmac.digest(self._secret, info + b"\1", "sha256")[:length]


class Renegotiations(Flooder):
    """RFC 5246 7.4.1.2: a ClientHello in a connection of TLS 1.2, which the server answers with a warning."""

    _HELLO = _TLS12 + os.urandom(32) + b"\0" + b"\0\2\xc0\x2b" + b"\1\0" + b"\0\0"
    _MESSAGE = b"\1" + len(_HELLO).to_bytes(3, "big") + _HELLO

    _sent = 1  # records under these keys: the handshake's Finished
    _cipher: AESGCM | None = None

    def _context(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_max_proto_version(SSL.TLS1_2_VERSION)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        return context

    def records(self, number: int) -> bytes:
        if self._cipher is None:
            block = self._key_block()
            self._cipher, self._salt = AESGCM(block[:16]), block[32:36]
        made = bytearray()
        length = len(self._MESSAGE).to_bytes(2, "big")
        head = bytes([_HANDSHAKE]) + _TLS12 + (len(self._MESSAGE) + 24).to_bytes(2, "big")
        for sequence in range(self._sent, self._sent + number):
            nonce = sequence.to_bytes(8, "big")
            extra = nonce + bytes([_HANDSHAKE]) + _TLS12 + length
            made += head + nonce + self._cipher.encrypt(self._salt + nonce, self._MESSAGE, extra)
        self._sent += number
        return bytes(made)

    def _key_block(self) -> bytes:
        """RFC 5246 5 and 6.3."""
        seed = b"key expansion" + self.tls.server_random() + self.tls.client_random()
        block, each = b"", seed
        while len(block) < 40:
            each = hmac.digest(self.tls.master_key(), each, "sha256")
            block += hmac.digest(self.tls.master_key(), each + seed, "sha256")
        return block
