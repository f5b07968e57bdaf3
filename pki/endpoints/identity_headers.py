"""What a proxy is told of a device, in headers that it may hand on to the application behind it."""

from collections.abc import Sequence
from urllib.parse import quote

from django.conf import settings

from pki.core.errors import Refusal
from pki.endpoints.moments import utc
from pki.services.proving.status import Identity

# Bytes of all of them, with their names: HAProxy takes an answer's head of 15 KiB, and many an application no
# header of more than 8.
MOST = 8 * 1024

# What stands for itself in a header: visible ASCII, but for what separates values and what encodes them.
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in ",%")


class IdentityTooLarge(Refusal):
    """The device is in more groups than headers can tell of."""

    code = "identity_too_large"


def of(identity: Identity, groups: Sequence[str]) -> dict[str, str]:
    """The headers by their names. Raises IdentityTooLarge."""
    headers = {
        "Hatchery-Device": _in_header(identity.device),
        "Hatchery-Serial": identity.serial,
        "Hatchery-Uri": uri(identity.device),
        "Hatchery-Groups": ",".join(map(_in_header, groups)),
        "Hatchery-Not-After": utc(identity.not_after),
    }
    size = sum(len(f"{name}: {value}\r\n") for name, value in headers.items())
    if size > MOST:
        raise IdentityTooLarge(
            f"The {len(groups)} groups of this device would make {size} bytes of headers, and at most {MOST} "
            "are sent; take it out of some, or give them shorter names."
        )
    return headers


def uri(device: str) -> str:
    """A device's name in the form of a SPIFFE ID.

    A path segment of a SPIFFE ID (SPIFFE-ID 2.2) has letters, digits and . _ - alone; what else a name may
    have (: @ +) is percent-encoded, and such a URI is like a SPIFFE ID without being one.
    """
    return f"spiffe://{settings.PORTAL_TRUST_DOMAIN}/device/{quote(device, safe='')}"


def _in_header(word: str) -> str:
    return quote(word, safe=_VISIBLE)
