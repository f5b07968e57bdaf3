"""Signing a fleet's certificates in several processes, with the keystore and the core's builders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.fleet import Deed, Member, Step
from pki.core import certificates, keys, names, pins
from pki.core.profiles import Grant
from pki.keystore import keystore
from pki.models import Profile
from pki.services.issuing import authorities


@dataclass(slots=True)
class Signed:
    """What a process hands back for one certificate."""

    serial: str
    fingerprint: str
    spki_sha256: str
    not_before: datetime
    not_after: datetime
    der: bytes
    csr_der: bytes | None  # of the enrollment; none for a renewal


class Signer:
    """Holds a key for each device. It is handed to processes by a fork, and never pickled."""

    def __init__(self, members: list[Member], profiles: Mapping[str, Profile]) -> None:
        global _signer
        self.members = members
        self.profiles = {name: (profile, profile.rules) for name, profile in profiles.items()}
        self.authorities = {
            profile.issuer_id: authorities.authority(profile.issuer) for profile in profiles.values()
        }
        self.keys = [ec.generate_private_key(ec.SECP256R1()) for _ in members]
        # Opened once, here: reading an encrypted key is made slow on purpose.
        for profile in profiles.values():
            keystore().public_key(profile.issuer.key_reference)
        _signer = self

    def start(self) -> None:
        """In each process."""

    @staticmethod
    def sign_chunk(steps: list[Step]) -> dict[tuple[int, int], Signed]:
        """The certificates of a part of the story, by device and number."""
        assert _signer is not None  # noqa: S101
        return {
            (index, number): _signer.sign(index, number, at)
            for at, deed, index, number in steps
            if deed is Deed.ISSUED
        }

    def sign(self, index: int, number: int, at: int) -> Signed:
        member, key = self.members[index], self.keys[index]
        profile, rules = self.profiles[member.profile]
        granted = Grant(
            subject=names.subject({"CN": member.name}),
            sans=tuple(names.parse_san(san) for san in member.sans),
            ignored=(),
        )
        public = key.public_key()
        builder = certificates.end_entity(
            rules, granted, public, self.authorities[profile.issuer_id], datetime.fromtimestamp(at, UTC)
        )
        signed = keystore().sign(profile.issuer.key_reference, builder)
        der = signed.public_bytes(Encoding.DER)
        return Signed(
            serial=f"{signed.serial_number:x}",
            fingerprint=pins.fingerprint(der),
            spki_sha256=pins.spki_sha256(public),
            not_before=signed.not_valid_before_utc,
            not_after=signed.not_valid_after_utc,
            der=der,
            csr_der=None if number else csr_der(member.name, key),
        )


_signer: Signer | None = None


def csr_der(name: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A device's request, DER."""
    request = x509.CertificateSigningRequestBuilder().subject_name(names.subject({"CN": name}))
    return request.sign(key, keys.signature_hash(key)).public_bytes(Encoding.DER)
