"""Configuration profiles that somebody shows: what they have trusted, and the identities that they install.

After Apple's device management schema, as a property list in XML, by itself or signed in CMS (RFC 5652).
"""

import plistlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.parsers.expat import ExpatError

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from pki.core import der, reading
from pki.core.errors import UNREADABLE

_NO_PROPERTY_LIST = (*UNREADABLE, ExpatError, LookupError, AttributeError)
_TRUSTED = ("com.apple.security.root", "com.apple.security.pkcs1", "com.apple.security.pem")
_IDENTITY = "com.apple.security.pkcs12"
# ContentInfo, its content, SignedData, encapContentInfo, its eContent, the octets (RFC 5652 5.1).
_SIGNED = (0, 1, 0, 2, 1, 0)
_LONGEST_NAME = 80  # characters


@dataclass(frozen=True)
class Profile:
    """What a configuration profile holds of certificates and keys."""

    name: str
    trusted: tuple[x509.Certificate, ...]
    identities: tuple[bytes, ...]  # PKCS#12, DER
    signers: tuple[x509.Certificate, ...]  # without the CAs that come with them; empty if it is not signed
    is_signed: bool


def read(data: bytes) -> Profile | None:
    """A profile, XML or CMS in DER; None if it is none. Whether its signature is good is not looked at."""
    octets = der.at(data, *_SIGNED)
    is_signed = octets is not None and octets.tag == der.OCTET_STRING
    content = octets.content if octets is not None and is_signed else data
    if not content.lstrip().startswith(b"<"):
        return None
    try:
        profile = plistlib.loads(content, fmt=plistlib.FMT_XML)
    except _NO_PROPERTY_LIST:
        return None
    if not isinstance(profile, dict) or profile.get("PayloadType") != "Configuration":
        return None
    return Profile(
        str(profile.get("PayloadDisplayName", ""))[:_LONGEST_NAME],
        tuple(each for content in _contents(profile, *_TRUSTED) for each in _certificates(content)),
        tuple(_contents(profile, _IDENTITY)),
        tuple(_signers(data)) if is_signed else (),
        is_signed,
    )


def _contents(profile: dict[str, object], *kinds: str) -> Iterator[bytes]:
    """What its payloads of these kinds hold."""
    payloads = profile.get("PayloadContent")
    for each in payloads if isinstance(payloads, list) else ():
        if isinstance(each, dict) and each.get("PayloadType") in kinds:
            content = each.get("PayloadContent")
            if isinstance(content, bytes):
                yield content


def _certificates(content: bytes) -> list[x509.Certificate]:
    try:
        return reading.certificates_in(content)
    except UNREADABLE:
        return []


def _signers(data: bytes) -> list[x509.Certificate]:
    try:
        certificates = pkcs7.load_der_pkcs7_certificates(data)
    except UNREADABLE:
        return []
    return [each for each in certificates if not reading.is_ca(each)]
