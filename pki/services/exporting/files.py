"""The forms of files without a key, and what each is called by those who look for it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from pki.core.errors import Refusal
from pki.core.pin_lists import Writing

PEM = "application/x-pem-file"
# RFC 2585 4.1.
DER = "application/pkix-cert"
APPLE = "application/x-apple-aspen-config"


class FormUnknown(Refusal):
    """There is no form of this name."""

    code = "form_unknown"


class FormUnfit(Refusal):
    """What is exported does not come in this form."""

    code = "form_unfit"


@dataclass(frozen=True)
class File:
    """A file that was made: its name is one that no shell, header or file system takes for anything else."""

    name: str
    content: bytes
    content_type: str
    is_secret: bool = False  # whether a private key is in it


class Of(StrEnum):
    """What a form is of."""

    CERTIFICATE = "a certificate"
    TRUST = "what to trust"
    PINS = "pins"


class Form(StrEnum):
    """A file without a key."""

    PEM = "pem"
    DER = "der"
    CER = "cer"
    CHAIN = "chain"
    FULL_CHAIN = "fullchain"
    ROOTS = "roots"
    ROOT_CRT = "root-crt"
    ROOT_CER = "root-cer"
    TRUSTSTORE = "truststore"
    MOBILECONFIG = "mobileconfig"
    KUBERNETES = "kubernetes"
    PINS_CURL = "pins-curl"
    PINS_OKHTTP = "pins-okhttp"
    PINS_ANDROID = "pins-android"
    PINS_TRUSTKIT = "pins-trustkit"
    PINS_NS_PINNED_DOMAINS = "pins-nspinneddomains"

    @property
    def kind(self) -> "Kind":
        return _KINDS[self]

    @property
    def writing(self) -> Writing:
        """Of pins: how they are written."""
        return Writing(self.removeprefix("pins-"))


@dataclass(frozen=True)
class Kind:
    """What is known of a form."""

    words: str
    suffix: str  # of the file's name
    content_type: str
    of: Of

    @property
    def is_text(self) -> bool:
        """Whether a terminal can show it."""
        return self.content_type not in (DER, APPLE, "application/x-pkcs12")


_KINDS = {
    Form.PEM: Kind("PEM", ".pem", PEM, Of.CERTIFICATE),
    Form.DER: Kind("DER (.crt)", ".crt", DER, Of.CERTIFICATE),
    Form.CER: Kind("DER (.cer)", ".cer", DER, Of.CERTIFICATE),
    Form.CHAIN: Kind("PEM with chain", "-chain.pem", PEM, Of.CERTIFICATE),
    Form.FULL_CHAIN: Kind("PEM with chain and root", "-fullchain.pem", PEM, Of.CERTIFICATE),
    Form.ROOTS: Kind("Roots, PEM", "-roots.pem", PEM, Of.TRUST),
    Form.ROOT_CRT: Kind("For Android (.crt)", "-root.crt", DER, Of.TRUST),
    Form.ROOT_CER: Kind("For Windows (.cer)", "-root.cer", DER, Of.TRUST),
    Form.TRUSTSTORE: Kind("For Java (truststore)", "-truststore.p12", "application/x-pkcs12", Of.TRUST),
    Form.MOBILECONFIG: Kind("For iPhone, iPad and Mac (.mobileconfig)", ".mobileconfig", APPLE, Of.TRUST),
    Form.KUBERNETES: Kind("For Kubernetes (Secret)", "-secret.yaml", "application/yaml", Of.TRUST),
    Form.PINS_CURL: Kind("Pins for curl", "-pins-curl.txt", "text/plain; charset=utf-8", Of.PINS),
    Form.PINS_OKHTTP: Kind("Pins for OkHttp", "-pins-okhttp.kt", "text/plain; charset=utf-8", Of.PINS),
    Form.PINS_ANDROID: Kind("Pins for Android", "-network-security-config.xml", "application/xml", Of.PINS),
    Form.PINS_TRUSTKIT: Kind("Pins for TrustKit", "-trustkit.plist", "application/xml", Of.PINS),
    Form.PINS_NS_PINNED_DOMAINS: Kind(
        "Pins for iOS (NSPinnedDomains)", "-nspinneddomains.plist", "application/xml", Of.PINS
    ),
}


def form(name: str, *of: Of) -> Form:
    """The form of this name, of one of these kinds or of any. Raises FormUnknown."""
    known = [each for each in Form if not of or each.kind.of in of]
    if name not in known:
        raise FormUnknown(f"There is no form {name[:32]!r} here; choose one of {', '.join(known)}.")
    return Form(name)


def file_name(*words: str) -> str:
    """A name that no shell, header or file system takes for anything else."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", word).strip("._-") or "unnamed" for word in words)
