"""Configuration profiles for iOS, iPadOS and macOS: roots to trust, and an identity to show.

After Apple's device management schema (payload types com.apple.security.root and com.apple.security.pkcs12).
What is made here is the property list; who signs it is the keystore's matter.
"""

import plistlib
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki.core import pins, reading

_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Of the identifiers that are made here (RFC 9562 5.5).
_NAMESPACE = uuid.UUID("6f2f0d0c-3c4b-4a0e-9a55-7f7b2f1a9f10")


@dataclass(frozen=True)
class Identity:
    """A PKCS#12 file, DER, and what its owner is called. Its password is not there: iOS asks for it."""

    name: str
    pkcs12: bytes


def profile(
    name: str, organization: str, roots: Sequence[x509.Certificate], identity: Identity | None = None
) -> bytes:
    """A configuration profile called `name`, an XML property list, not signed.

    One of the same name and organization takes the place of the one before when it is installed.
    """
    payloads = [_root(root) for root in roots]
    what = "roots" if identity is None else "identity"
    version = "".join(str(each["PayloadUUID"]) for each in payloads)
    if identity is not None:
        payloads.append(_identity(identity, organization))
    return plistlib.dumps(
        {
            "PayloadType": "Configuration",
            # A device's root alone, and its root with its identity, are two: neither takes the other's place.
            **_named(name, f"{organization}/{what}/{name}", version),
            "PayloadOrganization": _in_xml(organization),
            "PayloadDescription": _description(len(roots), identity),
            "PayloadContent": payloads,
        }
    )


def _root(certificate: x509.Certificate) -> dict[str, object]:
    fingerprint = pins.fingerprint_of(certificate)
    return {
        "PayloadType": "com.apple.security.root",
        **_named(reading.subject_of(certificate), fingerprint),
        "PayloadCertificateFileName": f"{fingerprint[:16]}.cer",
        "PayloadContent": certificate.public_bytes(Encoding.DER),
    }


def _identity(identity: Identity, organization: str) -> dict[str, object]:
    return {
        "PayloadType": "com.apple.security.pkcs12",
        **_named(identity.name, f"{organization}/pkcs12/{identity.name}", pins.fingerprint(identity.pkcs12)),
        "PayloadCertificateFileName": f"{_in_xml(identity.name)}.p12",
        "PayloadContent": identity.pkcs12,
    }


def _named(name: str, owner: str, version: str = "") -> dict[str, object]:
    """What each payload has. Its identifier stays the same for one owner, and its UUID for one version."""
    identifier = uuid.uuid5(_NAMESPACE, owner)
    return {
        "PayloadVersion": 1,
        "PayloadIdentifier": f"hatchery.{identifier}",
        "PayloadUUID": str(uuid.uuid5(identifier, version)).upper(),
        "PayloadDisplayName": _in_xml(name),
    }


def _description(roots: int, identity: Identity | None) -> str:
    trusted = f"Trusts {roots} root{'s' if roots != 1 else ''}"
    return f"{trusted} and installs the identity {_in_xml(identity.name)}." if identity else f"{trusted}."


def _in_xml(name: str) -> str:
    """A name with a replacement character for each that XML 1.0 cannot write (2.2): control characters."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", name)
