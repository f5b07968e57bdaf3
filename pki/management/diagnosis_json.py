"""What a diagnosis found, as JSON for programs."""

from typing import Any

from pki.core import probes, reading
from pki.core.findings import Finding
from pki.core.probes import Probed
from pki.management.verdicts import Looked, verdict
from pki.services.looking.inspection import Inspected


def as_json(looked: list[Looked]) -> dict[str, Any]:
    """What was found, as an object. Names and codes of it are stable; sentences are not."""
    return {
        "verdict": verdict(looked).name.lower(),
        "looked_at": [
            {
                "title": each.title,
                "verdict": each.verdict.name.lower(),
                "server": _server_as_json(each.probed),
                "findings": [_finding_as_json(finding) for finding in each.inspection.findings],
                "parts": [_part_as_json(part) for part in each.inspection.parts],
            }
            for each in looked
        ],
    }


def _server_as_json(probed: Probed | None) -> dict[str, Any] | None:
    if probed is None:
        return None
    return {
        "host": probed.target.host,
        "port": probed.target.port,
        "name": probed.name,
        "address": probed.address,
        "outcome": probed.outcome.name.lower(),
        "alert": probes.alert_in_words(probed.alert) if probed.alert is not None else None,
        "protocol": probed.protocol,
        "cipher": probed.cipher,
        "group": probed.group,
        "asks_for_client_certificate": probed.asks,
        "acceptable_cas": [name.rfc4514_string() for name in probed.acceptable],
        "has_stapled_ocsp": bool(probed.stapled),
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "sentence": finding.sentence,
        "advice": finding.advice,
        "source": finding.source,
    }


def _part_as_json(each: Inspected) -> dict[str, Any]:
    part = each.part
    found: dict[str, Any] = {
        "number": part.number,
        "kind": part.kind.value,
        "source": part.source,
        "origin": part.origin,
        "findings": [_finding_as_json(finding) for finding in each.findings],
    }
    if part.certificate is not None:
        read = reading.read(part.certificate)
        found |= {
            "subject": reading.subject_of(part.certificate),
            "issuer": reading.name_of(part.certificate, "issuer"),
            "serial": read.serial_hex,
            "fingerprint": read.fingerprint,
            "not_before": read.not_before.isoformat(),
            "not_after": read.not_after.isoformat(),
        }
    if part.key is not None:
        found["key"] = reading.read_key(part.key).kind
    return found
