"""Secrets that nobody gave: made once, kept in the data directory, 0600."""

import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from pki.keystore.files import make_private_folder, remedy, write_private

_DAMAGED = "is damaged: it holds no text; restore it from a backup."


def read_or_make_secret(path: Path) -> str:
    """The secret in the file `path`, 384 random bits in base64url; it is made if it is not there.

    Two processes that start at once read the same one. Raises ImproperlyConfigured if it can neither
    be read nor made.
    """
    try:
        make_private_folder(path.parent)
        if not path.exists():
            try:
                write_private(path, secrets.token_urlsafe(48).encode() + b"\n", replace=False)
            except FileExistsError:
                pass  # another process was quicker
    except OSError as error:
        raise ImproperlyConfigured(
            f"PORTAL_DATA_DIR: {path.parent.parent} cannot be written ({error.strerror}); "
            f"{remedy(error)} or set PORTAL_DATA_DIR to another folder."
        ) from error
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The file {path} cannot be read ({error.strerror}); run as its owner, or make it readable."
        ) from error
    except UnicodeDecodeError as error:
        raise ImproperlyConfigured(f"The file {path} {_DAMAGED}") from error
    if "\0" in secret:
        raise ImproperlyConfigured(f"The file {path} {_DAMAGED}")
    if not secret:
        raise ImproperlyConfigured(f"The file {path} is empty; restore it from a backup.")
    return secret
