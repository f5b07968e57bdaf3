"""What a passphrase must be."""

import secrets

SHORTEST = 20  # characters
LONGEST = 1023  # bytes; OpenSSL's PEM_BUFSIZE less one


def is_short(passphrase: str) -> bool:
    """Whether it could be guessed: PKCS#8 files resist that by its length alone."""
    return len(passphrase) < SHORTEST


def is_long(passphrase: str) -> bool:
    """Whether it is longer than what OpenSSL can use."""
    return len(passphrase.encode()) > LONGEST


def generate() -> str:
    """384 random bits in base64url."""
    return secrets.token_urlsafe(48)
