"""System checks: a misconfiguration stops the start, and says what to change."""

import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from pki.core import names
from pki.core.proxies import overlap
from pki.keystore import passphrases
from portal.listeners import METRICS, all_listeners

SETTINGS = "hatchery"  # the tag of these checks, which every command of ours runs
SHORTEST_SECRET_KEY = 50  # characters, as Django advises
LONGEST_MAX_AGE = 5  # seconds, within which everybody is to know of a revocation


@register(SETTINGS)
def listeners_are_known(**_: Any) -> list[CheckMessage]:
    # That of the metrics is served by its port alone, whatever else is.
    known = [name for name in all_listeners() if name != METRICS]
    named = settings.PORTAL_LISTENERS
    messages: list[CheckMessage] = [
        Error(
            f"PORTAL_LISTENERS names {name!r}, which is no listener.",
            hint=f"Choose from {', '.join(known)}.",
            id="portal.E001",
        )
        for name in named
        if name not in known
    ]
    if len(set(named)) < len(named):
        messages.append(
            Error(
                "PORTAL_LISTENERS names a listener twice.",
                hint="Name each that this process serves once.",
                id="portal.E008",
            )
        )
    if not named:
        messages.append(
            Error(
                "PORTAL_LISTENERS names no listener.",
                hint=f"Choose from {', '.join(known)}, or leave it unset for all.",
                id="portal.E003",
            )
        )
    return messages


@register(SETTINGS)
def listeners_are_apart(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    taken: dict[int, str] = {}
    for listener in all_listeners().values():
        if listener.port in taken:
            messages.append(
                Error(
                    f"The listeners {taken[listener.port]} and {listener.name} have the same port, "
                    f"{listener.port}.",
                    hint=f"Change PORTAL_PORT_{listener.name.upper()}.",
                    id="portal.E002",
                )
            )
        taken[listener.port] = listener.name
    return messages


@register(SETTINGS)
def addresses_are_well_formed(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for host in settings.PORTAL_HOSTNAMES:
        try:
            names.host_san(host)
        except names.NameRefused:
            messages.append(
                Error(
                    f"PORTAL_HOSTNAMES names {host!r}, which is neither a DNS name nor an IP address.",
                    hint="Separate several with commas: ca.example,10.0.0.5",
                    id="portal.E004",
                )
            )
    for name, number in (("PORTAL_BIND_HOST", "portal.E005"), ("PORTAL_METRICS_HOST", "portal.E040")):
        host = getattr(settings, name)
        try:
            ipaddress.ip_address(host)
        except ValueError:
            messages.append(
                Error(
                    f"{name} is {host!r}, which is not an IP address.",
                    hint="Use 127.0.0.1 for this machine alone, 0.0.0.0 or :: for every network.",
                    id=number,
                )
            )
    if not _is_http_url(settings.PORTAL_STATUS_URL):
        # There may be a password in it.
        shown = re.sub(r".*@", "…@", settings.PORTAL_STATUS_URL)
        messages.append(
            Error(
                f"PORTAL_STATUS_URL is {shown!r}, which is not an http:// URL "
                "of a host and nothing more than a port and a path.",
                hint="Name the status listener as verifiers reach it: http://status.example:8080",
                id="portal.E006",
            )
        )
    return messages


def _is_http_url(text: str) -> bool:
    # RFC 5280 4.2.1.13: an IA5String. 8: an https URL would need its own status checked first, and so on.
    if not re.fullmatch(r"[\x21-\x7e]+", text):
        return False
    try:
        url = urlsplit(text)
        _ = url.port  # raises for what is no port
    except ValueError:
        return False
    # Userinfo would be a password in every certificate, for everybody to read (RFC 3986 7.5).
    return (
        url.scheme == "http" and bool(url.hostname) and not (url.query or url.fragment or "@" in url.netloc)
    )


@register(SETTINGS, Tags.security)
def proxies_are_named(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    mode, devices = settings.PORTAL_SECURE_PROXY, settings.PORTAL_PROXY_DEVICES
    if mode != "off" and not settings.PORTAL_PROXIES:
        messages.append(
            Error(
                f"PORTAL_SECURE_PROXY is {mode}, but PORTAL_PROXIES names no proxy.",
                hint="Name each with the form in which it forwards certificates: nginx@10.0.0.5",
                id="portal.E011",
            )
        )
    if mode == "mutual" and not devices:
        messages.append(
            Error(
                "PORTAL_SECURE_PROXY is mutual, but PORTAL_PROXY_DEVICES does not say whose certificates "
                "the proxies show.",
                hint="Enroll a device for each proxy, and name them: edge-1,edge-2",
                id="portal.E012",
            )
        )
    if mode in ("http", "tls") and devices:
        messages.append(
            Error(
                "PORTAL_PROXY_DEVICES asks for the proxies' own certificates, which "
                f"PORTAL_SECURE_PROXY={mode} does not see.",
                hint="Set PORTAL_SECURE_PROXY to mutual, or leave PORTAL_PROXY_DEVICES unset.",
                id="portal.E013",
            )
        )
    return messages


@register(SETTINGS, Tags.security)
def proxy_devices_are_well_formed(**_: Any) -> list[CheckMessage]:
    devices = settings.PORTAL_PROXY_DEVICES
    messages: list[CheckMessage] = [
        Error(
            f"PORTAL_PROXY_DEVICES names {name!r}, which cannot be a device's name.",
            hint="Separate several with commas: edge-1,edge-2",
            id="portal.E014",
        )
        for name in devices
        if not names.DEVICE_NAME.fullmatch(name)
    ]
    if devices and not settings.PORTAL_PROXIES:
        messages.append(
            Error(
                "PORTAL_PROXY_DEVICES says whose certificates the proxies show, but PORTAL_PROXIES names no "
                "proxy, so that none is believed.",
                hint="Name each with the form in which it forwards certificates: nginx@10.0.0.5",
                id="portal.E016",
            )
        )
    return messages


@register(SETTINGS, Tags.security)
def balancers_are_no_proxies(**_: Any) -> list[CheckMessage]:
    return [
        Error(
            f"PORTAL_BALANCERS names {network}, and PORTAL_PROXIES names {proxy}: what comes from there "
            "would count as the balancer's client's, and no certificate that it forwards would be believed.",
            hint="A balancer passes TLS on, a proxy ends it: name each address for what it does there.",
            id="portal.E017",
        )
        for network in settings.PORTAL_BALANCERS
        for proxy in settings.PORTAL_PROXIES
        if overlap(network, proxy.network)
    ]


@register(SETTINGS)
def trust_domain_is_well_formed(**_: Any) -> list[CheckMessage]:
    if names.TRUST_DOMAIN.fullmatch(settings.PORTAL_TRUST_DOMAIN):
        return []
    return [
        Error(
            f"PORTAL_TRUST_DOMAIN is {settings.PORTAL_TRUST_DOMAIN!r}, which is no SPIFFE trust domain.",
            hint="Use lower-case letters, digits, dots, hyphens and underscores: devices.example",
            id="portal.E015",
        )
    ]


@register(SETTINGS)
def notices_can_be_mailed(**_: Any) -> list[CheckMessage]:
    if not settings.PORTAL_MAIL_IS_SET_UP:
        return []
    messages: list[CheckMessage] = []
    sender = ("PORTAL_NOTICE_FROM", settings.PORTAL_NOTICE_FROM, "portal.E031")
    receivers = [("PORTAL_NOTICE_MAIL", address, "portal.E030") for address in settings.PORTAL_NOTICE_MAIL]
    for setting, address, number in (sender, *receivers):
        try:
            validate_email(address)
        except ValidationError:
            hint = "Write name@mail.example; separate several of PORTAL_NOTICE_MAIL with commas."
            messages.append(
                Error(f"{setting} names {address!r}, which is no mail address.", hint=hint, id=number)
            )
    return messages


@register(SETTINGS, Tags.security)
def webhooks_have_roots(**_: Any) -> list[CheckMessage]:
    path = settings.PORTAL_WEBHOOK_CA_FILE
    try:
        if path:
            x509.load_pem_x509_certificates(Path(path).read_bytes())
    except (OSError, ValueError):
        return [
            Error(
                f"PORTAL_WEBHOOK_CA_FILE names {path}, which cannot be read or holds no certificates.",
                hint="Name a file of PEM certificates: the roots of your own receivers of webhooks.",
                id="portal.E032",
            )
        ]
    return []


@register(SETTINGS, Tags.security)
def passphrase_is_of_a_fit_length(**_: Any) -> list[CheckMessage]:
    if passphrases.is_long(settings.PORTAL_KEY_PASSPHRASE):
        return [
            Error(
                f"PORTAL_KEY_PASSPHRASE has more than {passphrases.LONGEST} bytes, which OpenSSL cannot use.",
                hint="32 random bytes are plenty; try: openssl rand -base64 32",
                id="portal.E009",
            )
        ]
    if settings.PORTAL_PASSPHRASE_IS_AWAITED or not passphrases.is_short(settings.PORTAL_KEY_PASSPHRASE):
        return []
    return [
        Error(
            f"PORTAL_KEY_PASSPHRASE has fewer than {passphrases.SHORTEST} characters.",
            hint="PKCS#8 files resist guessing only by the passphrase's length; try: openssl rand -base64 32",
            id="portal.E007",
        )
    ]


@register(SETTINGS, Tags.security)
def secret_key_is_long(**_: Any) -> list[CheckMessage]:
    if len(settings.SECRET_KEY) >= SHORTEST_SECRET_KEY:
        return []
    return [
        Error(
            f"SECRET_KEY has fewer than {SHORTEST_SECRET_KEY} characters.",
            hint="It signs the console's sessions; try: openssl rand -base64 48",
            id="portal.E010",
        )
    ]


@register(SETTINGS, Tags.security, deploy=True)
def passphrase_is_elsewhere(**_: Any) -> list[CheckMessage]:
    if not settings.PORTAL_PASSPHRASE_IS_GENERATED:
        return []
    return [
        Warning(
            "The passphrase of the CA keys lies in the data directory, beside the keys.",
            hint="Set PORTAL_KEY_PASSPHRASE_FILE to a file that backups of the data do not hold.",
            id="portal.W001",
        )
    ]


@register(SETTINGS, Tags.security, deploy=True)
def caches_forget_in_time(**_: Any) -> list[CheckMessage]:
    if settings.PORTAL_STATUS_MAX_AGE <= LONGEST_MAX_AGE:
        return []
    return [
        Warning(
            "PORTAL_STATUS_MAX_AGE lets caches hand out CRLs and OCSP answers that are up to "
            f"{settings.PORTAL_STATUS_MAX_AGE:,} seconds old: for so long a revoked certificate may be "
            "called good.",
            hint=f"At most {LONGEST_MAX_AGE} keeps what Hatchery promises: never stale by more than that.",
            id="portal.W002",
        )
    ]
