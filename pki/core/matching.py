"""What belongs together among the parts of a paste: keys, requests, certificates, and their order."""

from collections.abc import Iterator, Sequence

from pki.core import pins, reading
from pki.core.findings import Finding, Severity
from pki.core.parts import Kind, Part, Recognised


def findings(recognised: Recognised, leaves: Sequence[Part]) -> Iterator[Finding]:
    """Which keys belong to which requests and certificates, and which to none; the order of the chain."""
    yield from _keys_and_certificates(recognised)
    yield from _keys_and_requests(recognised)
    yield from _order(recognised, leaves)


def _keys_and_certificates(recognised: Recognised) -> Iterator[Finding]:
    certified = {_pin(part): part for part in reversed(recognised.of(Kind.CERTIFICATE)) if part.key}
    for part in recognised.of(Kind.PRIVATE_KEY, Kind.PUBLIC_KEY, Kind.REQUEST):
        if part.key is None or not certified:
            continue
        fitting = certified.get(_pin(part))
        if fitting is not None:
            yield Finding(
                "key_matches",
                Severity.GOOD,
                f"This {part.kind} and certificate {fitting.number} have the same key: they belong together.",
                part=part.number,
            )
        else:
            yield Finding(
                "key_mismatch",
                Severity.REFUSED,
                f"This {part.kind} fits none of the certificates that are with it.",
                "Find the key that the CSR was made with, or enroll again with this one.",
                part.number,
            )


def _keys_and_requests(recognised: Recognised) -> Iterator[Finding]:
    if recognised.of(Kind.CERTIFICATE):
        return
    private = {_pin(part): part for part in recognised.of(Kind.PRIVATE_KEY) if part.key}
    for part in recognised.of(Kind.REQUEST):
        if part.key is None or not private:
            continue
        if _pin(part) in private:
            yield Finding(
                "key_matches",
                Severity.GOOD,
                f"The request was made with private key {private[_pin(part)].number}.",
                part=part.number,
            )
        else:
            yield Finding(
                "key_mismatch",
                Severity.REFUSED,
                "The request was not made with the private key that is with it.",
                "Make the CSR anew, with this key.",
                part.number,
            )


def _pin(part: Part) -> str:
    return pins.spki_sha256(part.key) if part.key is not None else ""


def _order(recognised: Recognised, leaves: Sequence[Part]) -> Iterator[Finding]:
    parts = [part for part in recognised.of(Kind.CERTIFICATE) if not part.is_to_trust]
    if len(parts) > 1 and leaves and not _is_ca(leaves[0]) and parts[0] is not leaves[0]:
        yield Finding(
            "chain_order",
            Severity.WARNING,
            "The device's own certificate does not stand first. Who reads the file takes the first one.",
            "Put the own certificate first, then the one that signed it, and so on.",
        )


def _is_ca(part: Part) -> bool:
    return part.certificate is not None and reading.is_ca(part.certificate)
