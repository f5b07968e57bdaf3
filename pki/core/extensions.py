"""Extensions of certificates and CSRs (RFC 5280 4.2) in words that a person can act on."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ExtensionOID

from pki.core import names
from pki.core.errors import UNREADABLE

Value = TypeVar("Value", bound=x509.ExtensionType)


@dataclass(frozen=True)
class Extension:
    """One extension: its name as RFC 5280 writes it, and what it says, a sentence or a value a line."""

    name: str
    oid: str
    critical: bool
    sentences: tuple[str, ...]


_USES = {
    "digital_signature": "sign (digitalSignature): prove itself in TLS",
    "content_commitment": "sign what it cannot deny later (contentCommitment)",
    "key_encipherment": "have keys encrypted to it (keyEncipherment): RSA key exchange of old TLS",
    "data_encipherment": "have data encrypted to it (dataEncipherment)",
    "key_agreement": "agree on keys (keyAgreement)",
    "key_cert_sign": "sign certificates (keyCertSign)",
    "crl_sign": "sign revocation lists (cRLSign)",
}
_EXTENDED_USES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "be a TLS server (serverAuth)",
    ExtendedKeyUsageOID.CLIENT_AUTH: "be a TLS client (clientAuth)",
    ExtendedKeyUsageOID.CODE_SIGNING: "sign code (codeSigning)",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "sign and encrypt mail (emailProtection)",
    ExtendedKeyUsageOID.TIME_STAMPING: "stamp times (timeStamping)",
    ExtendedKeyUsageOID.OCSP_SIGNING: "sign OCSP answers (OCSPSigning)",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anything (anyExtendedKeyUsage)",
}
_ACCESS = {
    AuthorityInformationAccessOID.OCSP: "Its revocation is asked (OCSP) at",
    AuthorityInformationAccessOID.CA_ISSUERS: "Its issuer's certificate is at",
}


def in_words(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[Extension]:
    """All extensions of a certificate or CSR, in its order; one that says so if they cannot be read."""
    try:
        extensions = list(holder.extensions)
    except UNREADABLE:
        return [Extension("extensions", "", False, ("They are malformed, or one stands twice.",))]
    return [
        Extension(name_of(each.oid), each.oid.dotted_string, each.critical, tuple(_sentences(each.value)))
        for each in extensions
    ]


def are_readable(certificate: x509.Certificate) -> bool:
    """Whether it is known what a certificate says; of one that is malformed not even whether it is a CA's."""
    try:
        return certificate.extensions is not None
    except UNREADABLE:
        return False


def value_of(certificate: x509.Certificate, kind: type[Value]) -> Value | None:
    """A certificate's extension of this kind; None if it has none, or none that can be read."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (*UNREADABLE, x509.ExtensionNotFound):
        return None


def crl_addresses(certificate: x509.Certificate) -> list[str]:
    """The URLs of the CRLs that a certificate names (RFC 5280 4.2.1.13)."""
    points = value_of(certificate, x509.CRLDistributionPoints) or ()
    return [address for point in points for address in _addresses(point.full_name or ())]


def ocsp_addresses(certificate: x509.Certificate) -> list[str]:
    """The URLs at which a certificate lets its status be asked (RFC 5280 4.2.2.1)."""
    accesses = value_of(certificate, x509.AuthorityInformationAccess) or ()
    asked = [each for each in accesses if each.access_method == AuthorityInformationAccessOID.OCSP]
    return list(_addresses(each.access_location for each in asked))


def _addresses(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    return (name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))


def name_of(oid: x509.ObjectIdentifier) -> str:
    """An extension's name, or `unknown extension`."""
    known: str = oid._name
    return _NAMES.get(oid) or ("unknown extension" if known == "Unknown OID" else known)


_NO_REVOCATION = "2.5.29.56"  # RFC 9608
_NAMES = {
    x509.ObjectIdentifier(_NO_REVOCATION): "noRevAvail",
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: "authorityInfoAccess",
    ExtensionOID.CERTIFICATE_POLICIES: "certificatePolicies",
    ExtensionOID.CRL_DISTRIBUTION_POINTS: "cRLDistributionPoints",
    ExtensionOID.EXTENDED_KEY_USAGE: "extKeyUsage",
}


def _sentences(value: x509.ExtensionType) -> Iterator[str]:
    words = next((words for kind, words in _WORDS.items() if isinstance(value, kind)), None)
    if words is not None:
        yield from words(value)
    elif isinstance(value, x509.UnrecognizedExtension) and value.oid.dotted_string == _NO_REVOCATION:
        yield "Whether it is revoked is told nowhere: its life is short."
    elif isinstance(value, x509.UnrecognizedExtension):
        yield f"Hatchery does not know it. Its value, hex: {value.value.hex() or 'empty'}"
    else:
        yield f"Its value, DER in hex: {value.public_bytes().hex()}"


def _basic_constraints(value: x509.BasicConstraints) -> Iterator[str]:
    if not value.ca:
        yield "This is an end entity: it may not sign certificates."
    elif value.path_length is None:
        yield "This is a CA, with any number of CAs below it."
    elif value.path_length == 0:
        yield "This is a CA that may sign end entities only: no CA below it."
    else:
        yield f"This is a CA, with at most {value.path_length} CAs below one another under it."


def _key_usage(value: x509.KeyUsage) -> Iterator[str]:
    for attribute, words in _USES.items():
        if getattr(value, attribute):
            yield f"Its key may {words}."
    if value.key_agreement and (value.encipher_only or value.decipher_only):
        yield f"In key agreement it may only {'encipher' if value.encipher_only else 'decipher'}."


def _extended_key_usage(value: x509.ExtendedKeyUsage) -> Iterator[str]:
    for oid in value:
        yield f"It may {_EXTENDED_USES.get(oid, f'be used for {oid.dotted_string}')}."


def general_name(name: x509.GeneralName) -> str:
    """A general name as OpenSSL writes it: `DNS:door.example`, `IP:::1`."""
    match name:
        case x509.DNSName():
            return f"{names.SanKind.DNS}:{name.value}"
        case x509.IPAddress():
            return f"{names.SanKind.IP}:{name.value}"
        case x509.RFC822Name():
            return f"{names.SanKind.EMAIL}:{name.value}"
        case x509.UniformResourceIdentifier():
            return f"{names.SanKind.URI}:{name.value}"
        case x509.DirectoryName():
            return f"dirName:{name.value.rfc4514_string()}"
        case x509.RegisteredID():
            return f"RID:{name.value.dotted_string}"
        case x509.OtherName():
            return f"otherName {name.type_id.dotted_string}: {name.value.hex()}"
    return type(name).__name__


def _general_names(value: Iterable[x509.GeneralName]) -> Iterator[str]:
    yield from map(general_name, value)


def _subject_key_identifier(value: x509.SubjectKeyIdentifier) -> Iterator[str]:
    yield f"Its key's short name: {_colons(value.digest)}"


def _authority_key_identifier(value: x509.AuthorityKeyIdentifier) -> Iterator[str]:
    if value.key_identifier is not None:
        yield f"It is signed by the key {_colons(value.key_identifier)}"
    for name in value.authority_cert_issuer or ():
        yield f"The issuer of its issuer's certificate is {general_name(name)}"
    if value.authority_cert_serial_number is not None:
        yield f"Its issuer's certificate has the serial {value.authority_cert_serial_number:x}"


def _access(value: x509.AuthorityInformationAccess) -> Iterator[str]:
    for access in value:
        what = _ACCESS.get(access.access_method, f"Access {access.access_method.dotted_string} is at")
        yield f"{what} {general_name(access.access_location).removeprefix('URI:')}"


def _distribution_points(value: Iterable[x509.DistributionPoint]) -> Iterator[str]:
    for point in value:
        for name in point.full_name or ():
            yield f"The list of what was revoked is at {general_name(name).removeprefix('URI:')}"
        if point.relative_name is not None:
            yield f"The list of what was revoked is at {point.relative_name.rfc4514_string()} of its issuer"
        if point.reasons:
            yield f"That list holds only: {', '.join(sorted(reason.value for reason in point.reasons))}"


def _policies(value: x509.CertificatePolicies) -> Iterator[str]:
    for policy in value:
        oid = policy.policy_identifier
        any_policy = oid == x509.OID_ANY_POLICY
        yield "Issued under any policy." if any_policy else f"Issued under the policy {oid.dotted_string}."
        for qualifier in policy.policy_qualifiers or ():
            text = qualifier if isinstance(qualifier, str) else qualifier.explicit_text
            if text:
                yield f"It says: {text}"


def _name_constraints(value: x509.NameConstraints) -> Iterator[str]:
    for name in value.permitted_subtrees or ():
        yield f"Below it only names under {general_name(name)}."
    for name in value.excluded_subtrees or ():
        yield f"Below it no names under {general_name(name)}."


def _policy_constraints(value: x509.PolicyConstraints) -> Iterator[str]:
    if value.require_explicit_policy is not None:
        yield f"After {value.require_explicit_policy} more CAs, each must name a policy."
    if value.inhibit_policy_mapping is not None:
        yield f"After {value.inhibit_policy_mapping} more CAs, no policy may be mapped to another."


def _inhibit_any_policy(value: x509.InhibitAnyPolicy) -> Iterator[str]:
    yield f"After {value.skip_certs} more CAs, “any policy” counts no more."


def _tls_features(value: x509.TLSFeature) -> Iterator[str]:
    for feature in value:
        if feature is x509.TLSFeatureType.status_request:
            yield "A server that shows it must staple an OCSP answer (must-staple)."
        else:
            yield f"A server that shows it must do {feature.name}."


def _no_check(value: x509.OCSPNoCheck) -> Iterator[str]:
    yield "Whether this OCSP signer is revoked need not be asked."


def _colons(octets: bytes) -> str:
    return octets.hex(":").upper()


_WORDS: dict[type, Callable[[Any], Iterator[str]]] = {
    x509.BasicConstraints: _basic_constraints,
    x509.KeyUsage: _key_usage,
    x509.ExtendedKeyUsage: _extended_key_usage,
    x509.SubjectAlternativeName: _general_names,
    x509.IssuerAlternativeName: _general_names,
    x509.SubjectKeyIdentifier: _subject_key_identifier,
    x509.AuthorityKeyIdentifier: _authority_key_identifier,
    x509.AuthorityInformationAccess: _access,
    x509.CRLDistributionPoints: _distribution_points,
    x509.FreshestCRL: _distribution_points,
    x509.CertificatePolicies: _policies,
    x509.NameConstraints: _name_constraints,
    x509.PolicyConstraints: _policy_constraints,
    x509.InhibitAnyPolicy: _inhibit_any_policy,
    x509.TLSFeature: _tls_features,
    x509.OCSPNoCheck: _no_check,
}
