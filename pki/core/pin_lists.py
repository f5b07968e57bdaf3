"""Pins as clients write them: curl, OkHttp, Android, TrustKit, Apple's own.

All hold the same, SHA-256 of a SubjectPublicKeyInfo in base64 (RFC 7469 2.4). curl looks at the server's own
certificate alone; all others match any certificate of the chain that they verified, and so pin roots.
"""

import json
import plistlib
from collections.abc import Sequence
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


def written(writing: Writing, hosts: Sequence[str], pins: Sequence[str]) -> str:
    """The pins (base64) for `hosts`, which are DNS names or addresses; curl's name no host.

    Text, UTF-8.
    """
    match writing:
        case Writing.CURL:
            return ";".join(f"sha256//{pin}" for pin in pins) + "\n"
        case Writing.OKHTTP:
            return _okhttp(hosts, pins)
        case Writing.ANDROID:
            return _android(hosts, pins)
        case Writing.TRUSTKIT:
            # Else it reports each mismatch to its makers.
            domain = {
                "kTSKEnforcePinning": True,
                "kTSKDisableDefaultReportUri": True,
                "kTSKPublicKeyHashes": list(pins),
            }
            return _plist({"TSKConfiguration": {"kTSKPinnedDomains": dict.fromkeys(hosts, domain)}})
        case Writing.NS_PINNED_DOMAINS:
            identities = {"NSPinnedCAIdentities": [{"SPKI-SHA256-BASE64": pin} for pin in pins]}
            return _plist({"NSAppTransportSecurity": {"NSPinnedDomains": dict.fromkeys(hosts, identities)}})


def _okhttp(hosts: Sequence[str], pins: Sequence[str]) -> str:
    """A `CertificatePinner`, in Kotlin."""
    listed = "".join(f'\n    .add({json.dumps(host)}, "sha256/{pin}")' for host in hosts for pin in pins)
    return f"val pinner = CertificatePinner.Builder(){listed}\n    .build()\n"


def _android(hosts: Sequence[str], pins: Sequence[str]) -> str:
    """A network security configuration, for Android 7 and newer; the roots are in res/raw/ca.pem."""
    domains = "".join(f"        <domain>{escape(host)}</domain>\n" for host in hosts)
    listed = "".join(f'            <pin digest="SHA-256">{pin}</pin>\n' for pin in pins)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        "<network-security-config>\n"
        f"    <domain-config>\n{domains}"
        f"        <pin-set>\n{listed}        </pin-set>\n"
        '        <trust-anchors>\n            <certificates src="@raw/ca"/>\n        </trust-anchors>\n'
        "    </domain-config>\n"
        "</network-security-config>\n"
    )


def _plist(content: dict[str, object]) -> str:
    return plistlib.dumps(content).decode()
