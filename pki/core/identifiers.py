"""What people write to name a certificate: serials, fingerprints, pins and names, in every usual writing."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from pki.core import names

# RFC 5280 4.1.2.2: a serial has at most 20 octets.
LONGEST_SERIAL = 40  # hex digits
LARGEST_SERIAL = 2**159 - 1  # an INTEGER of DER has a sign
_DIGEST = 64  # hex digits of SHA-256
# Fewer hex digits begin too many serials to say anything.
_SHORTEST_BEGINNING = 4

# As OpenSSL, curl, HPKP and our own pages write before the value itself.
_NAMED = re.compile(
    r"(?:serial(?: ?number)?|(?:sha-?256 )?fingerprint|sha-?256|pin-sha256|spki(?: pin)?)\s*(?:=|://|//|:)\s*",
    re.IGNORECASE,
)
_HEX = re.compile(r"[0-9a-f]+")
_DECIMAL = re.compile(r"[0-9]{1,49}")
_SAN_KINDS = tuple(f"{kind.lower()}:" for kind in names.SanKind)


@dataclass(frozen=True)
class Sought:
    """All readings of a text that names a certificate; each is a look into an index."""

    serials: frozenset[str] = field(default_factory=frozenset)  # whole; hex, lower case, no leading zeros
    digests: frozenset[str] = field(default_factory=frozenset)  # whole SHA-256, of a certificate or a key
    serial_beginning: str = ""
    digest_beginning: str = ""
    name_beginnings: tuple[str, ...] = ()  # common names
    san_beginning: str = ""  # without its kind, lower case


def read(text: str) -> Sought:
    """Every reading of `text`; hex that is also a name, or digits that are decimal or hex, have several."""
    text = text.strip()
    if not text:
        return Sought()
    value = _NAMED.sub("", text, count=1).strip().strip('"') if _NAMED.match(text) else text
    packed = _packed(value)
    begins = packed if len(packed) >= _SHORTEST_BEGINNING else ""
    return Sought(
        serials=frozenset(serials(value)),
        digests=frozenset(_digests(value, packed)),
        serial_beginning=begins.lstrip("0")[:LONGEST_SERIAL] if len(begins) <= LONGEST_SERIAL else "",
        digest_beginning=begins if len(begins) < _DIGEST else "",
        name_beginnings=_names(text),
        san_beginning=_without_kind(text.lower()),
    )


def serials(text: str) -> list[str]:
    """The serials that a text may be, whole, as they are stored: hex, lower case, no leading zeros.

    It may be hex, with or without colons, spaces or `0x`, in any case, or decimal. Digits alone may be both.
    """
    found = []
    packed = _packed(text)
    if packed and len(packed.lstrip("0")) <= LONGEST_SERIAL:
        found.append(packed.lstrip("0") or "0")
    if _DECIMAL.fullmatch(text.strip()):
        found.append(f"{int(text):x}")
    return list(dict.fromkeys(found))


def _packed(text: str) -> str:
    """Hex digits without what stands between them, lower case; empty if there is anything else."""
    packed = re.sub(r"[:\s-]", "", text.lower()).removeprefix("0x")
    return packed if _HEX.fullmatch(packed) else ""


def _digests(value: str, packed: str) -> list[str]:
    found = [packed] if len(packed) == _DIGEST else []
    # RFC 7469 2.4: a pin is 32 octets in base64, which are 44 characters.
    if re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", value):
        try:
            found.append(base64.b64decode(value.translate(_URL_SAFE).rstrip("=") + "=", validate=True).hex())
        except binascii.Error:
            pass  # not a pin after all
    return found


_URL_SAFE = str.maketrans("-_", "+/")


def _names(text: str) -> tuple[str, ...]:
    name = text[3:] if text.lower().startswith("cn=") else text
    return tuple(dict.fromkeys((name, name.lower())))


def _without_kind(text: str) -> str:
    kind = next((kind for kind in _SAN_KINDS if text.startswith(kind)), "")
    return text.removeprefix(kind).strip()
