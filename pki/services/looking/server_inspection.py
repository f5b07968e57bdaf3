"""A server that somebody asks about: what it shows in a handshake, why it is refused, or refuses a client."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pki.core import containers, credentials, probe_findings, reading, recognition, sent_chains
from pki.core.credentials import Credential
from pki.core.findings import Finding, Severity
from pki.core.parts import Kind, Recognised
from pki.core.probes import Probed
from pki.core.profiles import ExtendedKeyUsage
from pki.core.targets import Target
from pki.services.looking import inspection, probing
from pki.services.looking.inspection import File, Inspection


@dataclass
class ServerInspection:
    """What a server showed, and what there is to say of it."""

    probed: Probed
    inspection: Inspection


def credential(files: Sequence[File]) -> Credential:
    """What a client shows, out of files that hold it. Raises CredentialRefused."""
    recognised = Recognised()
    for file in files:
        recognition.recognise(file.data, file.password, recognised, file.name)
    return credentials.read(recognised, [(file.data, file.password) for file in files])


def inspect(
    target: Target,
    now: datetime,
    *,
    name: str = "",
    credential: Credential | None = None,
    store: File | None = None,
    judge: Callable[[Sequence[str]], None] = lambda addresses: None,
    seconds: float = probing.SECONDS,
) -> ServerInspection:
    """Knock at a server once, and look at what it shows as a client would. See `probing.probe`.

    `store` is the client's trust store; without one it is the CAs of this Hatchery. Raises what `judge` does.
    """
    probed = probing.probe(target, name=name, credential=credential, judge=judge, seconds=seconds)
    recognised = _as_parts(probed)
    looked = inspection.judged(
        lambda: recognised,
        now,
        use=ExtendedKeyUsage.SERVER_AUTH,
        hostname=probed.name if probed.chain else "",
        store=store,
        is_all=True,
    )
    sent = recognised.of(Kind.CERTIFICATE)
    for finding in [
        *probe_findings.findings(probed, now),
        *sent_chains.findings(sent),
        *_trusted(looked, store),
    ]:
        of = next((each for each in looked.parts if each.part.number == finding.part), None)
        (of.findings if of is not None else looked.findings).append(finding)
    return ServerInspection(probed, looked)


def _as_parts(probed: Probed) -> Recognised:
    recognised = Recognised(source=str(probed.target))
    for certificate in probed.chain:
        recognised.add(
            Kind.CERTIFICATE, "as sent", certificate=certificate, key=reading.public_key(certificate)
        )
    if not probed.is_chain_read:
        recognised.found(
            "certificate_malformed",
            Severity.REFUSED,
            "A certificate that it sent is not one by RFC 5280, and cannot be read.",
            "Issue it anew, with Hatchery or another CA of today.",
        )
    if probed.stapled:
        containers.read(probed.stapled, "stapled", "", recognised)
    return recognised


_ASTRAY = {
    "self_signed",
    "unknown_issuer",
    "wrong_issuer",
    "intermediate_missing",
    "trust_store_lacks_ca",
    "trust_store_wrong_ca",
}


def _trusted(looked: Inspection, store: File | None) -> list[Finding]:
    """That the chain leads where it should, if nothing says that it does not."""
    certificates = [each for each in looked.parts if each.part.certificate is not None]
    if not certificates or _ASTRAY & {finding.code for finding in looked.all_findings}:
        return []
    by = f"the trust store {store.name}" if store is not None else "who trusts this Hatchery's root"
    return [
        Finding(
            "chain_trusted", Severity.GOOD, f"Its chain is trusted by {by}.", part=certificates[0].part.number
        )
    ]
