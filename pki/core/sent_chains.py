"""The chain as a server sends it: its order, and what is in it that need not be (RFC 8446 4.4.2)."""

from collections.abc import Iterator, Sequence

from pki.core import chains, reading
from pki.core.findings import Finding, Severity
from pki.core.parts import Part


def findings(sent: Sequence[Part]) -> Iterator[Finding]:
    """What there is to say of these certificates, in the order in which they came."""
    certificates = [part.certificate for part in sent if part.certificate is not None]
    if len(certificates) < 2:
        return
    path, rest = certificates[:1], certificates[1:]
    while (above := chains.issuer_among(path[-1], rest)) is not None:
        path.append(above)
        rest.remove(above)
    if path != certificates[: len(path)]:
        yield Finding(
            "chain_order",
            Severity.WARNING,
            "The certificates of the chain are not in order: each should be followed by the one that signed "
            "it. Clients that are old, or small, take them as they come.",
            "Write the file anew: the server's certificate, the one that signed it, and so on.",
            source=sent[0].source,
        )
    for part in sent[1:]:
        if part.certificate in rest:
            yield Finding(
                "chain_unneeded",
                Severity.NOTE,
                "It is in nobody's way up: no certificate of the chain was signed by it.",
                "Leave it out.",
                part.number,
                part.source,
            )
        elif part.certificate is not None and reading.is_self_issued(part.certificate):
            yield Finding(
                "root_sent",
                Severity.NOTE,
                "It is the root, sent along: who trusts it has it already, and nobody else begins to.",
                "Leave it out of the server's file; it costs bytes in each handshake.",
                part.number,
                part.source,
            )
