"""Passwords of files with keys in them: which protect, and which every reader takes."""

import secrets

from pki.core.errors import Refusal

SHORTEST = 12
LONGEST = 64
# No letter or digit of which a person takes one for another; 20 of these 31 hold 99 bits.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class PasswordRefused(Refusal):
    """A password that would not protect a key, or that some reader would not take."""

    code = "password_refused"


def new() -> str:
    """A password that a person can type on a phone: `xxxxx-xxxxx-xxxxx-xxxxx`, 99 random bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def check(password: str) -> str:
    """`password` if it may protect a key, else PasswordRefused."""
    if not (password.isascii() and password.isprintable()):
        # RFC 7292 B.1 wants UTF-16 and RFC 8018 leaves it open: readers disagree on all but ASCII.
        raise PasswordRefused("Use ASCII letters, digits and signs only; readers disagree on others.")
    if not SHORTEST <= len(password) <= LONGEST:
        raise PasswordRefused(f"The password has {SHORTEST} to {LONGEST} characters.")
    return password
