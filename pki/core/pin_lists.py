"""Pins as clients write them: curl, OkHttp, Android, TrustKit, Apple's own.

All hold the same, SHA-256 of a SubjectPublicKeyInfo in base64 (RFC 7469 2.4). curl looks at the server's own
certificate alone; all others match any certificate of the chain that they verified, and so pin roots.
"""

import json
import plistlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape


class Writing(StrEnum):
    """Who reads it."""

    CURL = "curl"
    OKHTTP = "okhttp"
    ANDROID = "android"
    TRUSTKIT = "trustkit"
    NS_PINNED_DOMAINS = "nspinneddomains"

    @property
    def pins_servers(self) -> bool:
        """Whether the pins are those of the servers' own keys; else of the roots above them."""
        return self is Writing.CURL


@dataclass(frozen=True)
class Listed:
    """A pin of a list."""

    pin: str  # base64
    is_backup: bool  # of a key that is made ahead; else of one in use

    @property
    def word(self) -> str:
        """Which it is, as the trust bundle calls it."""
        return "backup" if self.is_backup else "current"


def written(writing: Writing, hosts: Sequence[str], pins: Sequence[Listed]) -> str:
    """The pins for `hosts`, which are DNS names or addresses; curl's name no host.

    Text, UTF-8.
    """
    match writing:
        case Writing.CURL:
            return ";".join(f"sha256//{each.pin}" for each in pins) + "\n"
        case Writing.OKHTTP:
            return _okhttp(hosts, pins)
        case Writing.ANDROID:
            return _android(hosts, pins)
        case Writing.TRUSTKIT:
            # Else it reports each mismatch to its makers.
            domain = {
                "kTSKEnforcePinning": True,
                "kTSKDisableDefaultReportUri": True,
                "kTSKPublicKeyHashes": [each.pin for each in pins],
            }
            return _plist({"TSKConfiguration": {"kTSKPinnedDomains": dict.fromkeys(hosts, domain)}}, pins)
        case Writing.NS_PINNED_DOMAINS:
            identities = {"NSPinnedCAIdentities": [{"SPKI-SHA256-BASE64": each.pin} for each in pins]}
            domains = {"NSPinnedDomains": dict.fromkeys(hosts, identities)}
            return _plist({"NSAppTransportSecurity": domains}, pins)


def _okhttp(hosts: Sequence[str], pins: Sequence[Listed]) -> str:
    """A `CertificatePinner`, in Kotlin."""
    listed = "".join(
        f'\n    .add({json.dumps(host)}, "sha256/{each.pin}") // {each.word}'
        for host in hosts
        for each in pins
    )
    return f"val pinner = CertificatePinner.Builder(){listed}\n    .build()\n"


def _android(hosts: Sequence[str], pins: Sequence[Listed]) -> str:
    """A network security configuration, for Android 7 and newer; the roots are in res/raw/ca.pem."""
    domains = "".join(f"        <domain>{escape(host)}</domain>\n" for host in hosts)
    listed = "".join(
        f'            <pin digest="SHA-256">{each.pin}</pin> <!-- {each.word} -->\n' for each in pins
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<network-security-config>\n"
        f"    <domain-config>\n{domains}"
        f"        <pin-set>\n{listed}        </pin-set>\n"
        '        <trust-anchors>\n            <certificates src="@raw/ca"/>\n        </trust-anchors>\n'
        "    </domain-config>\n"
        "</network-security-config>\n"
    )


def _plist(content: dict[str, object], pins: Sequence[Listed]) -> str:
    text = plistlib.dumps(content).decode()
    for each in pins:
        element = f"<string>{each.pin}</string>"
        text = text.replace(element, f"{element} <!-- {each.word} -->")
    return text
