"""What a `.cnf` for `openssl req`, `ca` or `x509 -extfile` asks a CA for: names, key, extensions, validity.

After openssl-req(1), openssl-ca(1) and x509v3_config(5).
"""

from dataclasses import dataclass, field

from pki.core import keys, names
from pki.core.errors import Refusal
from pki.core.openssl_config import DEFAULT, Config, ConfigRefused, Entry
from pki.core.profiles import ExtendedKeyUsage

_LONG_NAMES = {
    "countryName": "C",
    "stateOrProvinceName": "ST",
    "localityName": "L",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "commonName": "CN",
}
# Of [req], what names other sections, and what changes nothing that a CA would see.
_ELSEWHERE = {"distinguished_name", "req_extensions", "x509_extensions"}
_NO_MATTER = {
    "prompt", "string_mask", "utf8", "default_keyfile", "encrypt_key", "encrypt_rsa_key", "default_md",
    "output_password", "input_password", "attributes", "oid_file", "oid_section", "RANDFILE",
}  # fmt: skip
_SECRETS = {"input_password", "output_password"}  # of keys; no page and no terminal shows them
_EXTENSIONS = {
    "subjectAltName", "extendedKeyUsage", "keyUsage", "basicConstraints", "subjectKeyIdentifier",
    "authorityKeyIdentifier", "nsCertType", "nsComment", "authorityInfoAccess", "crlDistributionPoints",
    "certificatePolicies", "issuerAltName",
}  # fmt: skip
_KEY_USAGES = {"digitalSignature", "keyEncipherment", "keyAgreement", "nonRepudiation", "dataEncipherment"}
_OLD_TYPES = {"client": ExtendedKeyUsage.CLIENT_AUTH, "server": ExtendedKeyUsage.SERVER_AUTH}
_MOST_DAYS = 10 * 366
_MOST_TOLD = 2_000  # rows of a page; openssl.cnf has some 30
_OF_SERVERS = {names.SanKind.DNS, names.SanKind.IP}  # what a TLS client looks for (RFC 9525 6.1)


@dataclass(frozen=True)
class Told:
    """What becomes of one line."""

    line: int  # from 1; 0 for what no line says
    written: str
    becomes: str


@dataclass
class Wishes:
    """What the file asks for; `told` says it in words, line by line, with what is left out."""

    subject: dict[str, str] = field(default_factory=dict)  # short attribute name → value that every CSR has
    prompts: list[str] = field(default_factory=list)  # short names that the file asks a person for
    sans: list[names.San] = field(default_factory=list)
    san_entries: list[Entry] = field(default_factory=list)  # the line of each of them
    san_sections: set[str] = field(default_factory=set)  # `@alt_names`, those that were read
    usages: list[ExtendedKeyUsage] = field(default_factory=list)
    rsa_bits: int | None = None
    days: int | None = None
    told: list[Told] = field(default_factory=list)

    def tell(self, entry: Entry, becomes: str) -> None:
        """Say what becomes of a line. Raises ConfigRefused if there is more to say than anybody reads."""
        if len(self.told) == _MOST_TOLD:
            raise ConfigRefused(
                f"There is more to say of this file than {_MOST_TOLD:,} lines; give the part that is about "
                "requests."
            )
        value = "***" if entry.name in _SECRETS else entry.value[:120]
        written = f"{entry.name} = {value}"
        self.told.append(Told(entry.line, written[:120], becomes))


def read(config: Config) -> Wishes:
    """What `config` asks for. Raises ConfigRefused if it asks a CA for nothing."""
    wishes = Wishes()
    sections = _extension_sections(config)
    if "req" not in config.sections and not sections:
        raise ConfigRefused(
            "There is no section [req], and no extension before the first section: this is no file for "
            "openssl req -config or openssl x509 -extfile."
        )
    for entry in config.section("req"):
        if entry.name in _ELSEWHERE:
            wishes.tell(entry, "see that section")
        elif entry.name in _NO_MATTER:
            wishes.tell(entry, "changes nothing here")
        elif entry.name not in ("default_bits", "default_days"):
            wishes.tell(entry, "not known here, and left out")
    _key(config, wishes)
    _subject(config, wishes)
    for section in sections:
        _extensions(config, section, wishes)
    _tell_sans(wishes)
    _days(config, wishes)
    _others(config, sections, wishes)
    wishes.told.sort(key=lambda told: told.line)
    return wishes


def _extension_sections(config: Config) -> list[str]:
    """The sections with the extensions of what the file makes: a CSR's, and what `openssl ca` adds."""
    if "req" not in config.sections:
        return [DEFAULT] if any(entry.name in _EXTENSIONS for entry in config.section(DEFAULT)) else []
    # With both, a CSR has the first, and a self-signed certificate the second.
    found = [config.value("req", "req_extensions") or config.value("req", "x509_extensions")]
    ca = config.value("ca", "default_ca")
    found.append(config.value(ca, "x509_extensions") if ca else None)
    return list(dict.fromkeys(section for section in found if section))


def _key(config: Config, wishes: Wishes) -> None:
    entry = config.find("req", "default_bits")
    if entry is None:
        return
    if not entry.value.isdecimal() or not entry.value.isascii() or len(entry.value) > 5:
        raise ConfigRefused(f"Line {entry.line}: default_bits is a number of bits, not {entry.value[:20]!r}.")
    wishes.rsa_bits = int(entry.value)
    fits = keys.RSA_BITS_MIN <= wishes.rsa_bits <= keys.RSA_BITS_MAX
    bounds = f"RSA keys of {keys.RSA_BITS_MIN} to {keys.RSA_BITS_MAX} bits"
    wishes.tell(entry, f"{bounds}" if fits else f"{bounds}: others are refused, this size too")


def _subject(config: Config, wishes: Wishes) -> None:
    section = config.value("req", "distinguished_name")
    if section is None:
        return
    asks = (config.value("req", "prompt") or "yes").lower() != "no"
    for entry in config.section(section):
        # `0.organizationName` numbers one that stands more than once.
        number, _, numbered = entry.name.partition(".")
        name = numbered if number.isdecimal() and numbered else entry.name
        base, _, suffix = name.rpartition("_")
        if asks and suffix in ("min", "max", "value", "default"):
            short = _LONG_NAMES.get(base, base)
            if suffix in ("value", "default") and entry.value and short in names.SUBJECT_ATTRIBUTES:
                wishes.subject.setdefault(short, entry.value)
            continue
        short = _LONG_NAMES.get(name, name)
        if short not in names.SUBJECT_ATTRIBUTES:
            wishes.tell(entry, f"left out: {short} does not stand in our subjects")
            continue
        if asks:
            wishes.prompts.append(short)
        else:
            wishes.subject[short] = entry.value
        if short == "CN":
            wishes.tell(entry, "the device's name; the CSR has it, or leaves it out")
        else:
            wishes.tell(entry, f"the CSR may choose {short}, where the device's record does not say it")


def _extensions(config: Config, section: str, wishes: Wishes) -> None:
    entries = config.section(section)
    ca = next((each for each in entries if each.name == "basicConstraints" and _is_ca(each.value)), None)
    if ca is not None:
        wishes.tell(ca, f"left out, with all of [{section}]: profiles make no CAs")
        return
    for entry in entries:
        words = [word.strip() for word in entry.value.split(",") if word.strip()]
        if "critical" in words:
            words.remove("critical")
        match entry.name:
            case "subjectAltName":
                _sans(config, entry, words, wishes)
            case "extendedKeyUsage":
                _usages(entry, words, wishes)
            case "nsCertType":
                _usages(entry, [_OLD_TYPES[word].value for word in words if word in _OLD_TYPES], wishes)
            case "keyUsage":
                _key_usages(entry, words, wishes)
            case "basicConstraints" | "subjectKeyIdentifier" | "authorityKeyIdentifier":
                wishes.tell(entry, "every certificate of ours has it")
            case "nsComment":
                wishes.tell(entry, "left out: nobody reads it")
            case _:
                wishes.tell(entry, "left out: Hatchery sets its own, or none")


def _is_ca(value: str) -> bool:
    return "CA:TRUE" in value.upper().replace(" ", "")


def _usages(entry: Entry, words: list[str], wishes: Wishes) -> None:
    known = [ExtendedKeyUsage(word) for word in words if word in set(ExtendedKeyUsage)]
    others = [word for word in words if word not in set(ExtendedKeyUsage)]
    wishes.usages += [usage for usage in known if usage not in wishes.usages]
    parts = [f"good for {', '.join(known)}"] if known else []
    parts += [f"left out: no profile grants {', '.join(others)}"] if others else []
    wishes.tell(entry, "; ".join(parts) or "left out")


def _key_usages(entry: Entry, words: list[str], wishes: Wishes) -> None:
    others = sorted(set(words) - _KEY_USAGES)
    said = f"; {', '.join(others)} is left out" if others else ""
    wishes.tell(entry, f"digitalSignature, which is what TLS needs with today's ciphers{said}")


def _days(config: Config, wishes: Wishes) -> None:
    ca = config.value("ca", "default_ca")
    entry = (config.find(ca, "default_days") if ca else None) or config.find("req", "default_days")
    if entry is None:
        return
    if not entry.value.isdecimal() or not entry.value.isascii() or not 0 < _number(entry.value) <= _MOST_DAYS:
        wishes.tell(entry, f"left out: a lifetime is 1 to {_MOST_DAYS} days")
        return
    wishes.days = int(entry.value)
    wishes.tell(entry, f"certificates live {wishes.days} days")


def _number(digits: str) -> int:
    """0 if there are more than any number here has."""
    return int(digits) if len(digits) <= 9 else 0


def _others(config: Config, sections: list[str], wishes: Wishes) -> None:
    """Sections with extensions that only `-extensions NAME` would take."""
    for name, entries in config.sections.items():
        if name not in sections and name != "req" and any(each.name in _EXTENSIONS for each in entries):
            wishes.told.append(
                Told(entries[0].line, f"[{name}]", f"left out: it counts for -extensions {name} alone")
            )


def _sans(config: Config, entry: Entry, words: list[str], wishes: Wishes) -> None:
    for word in words:
        if not word.startswith("@"):
            _san(entry, word, wishes)
            continue
        named = () if word in wishes.san_sections else config.section(word[1:])
        wishes.san_sections.add(word)
        if config.section(word[1:]):
            wishes.tell(entry, "see that section")
        else:
            wishes.tell(entry, f"left out: there is no section [{word[1:][:40]}]")
        for each in named:
            # `DNS.1` numbers them.
            _san(each, f"{each.name.partition('.')[0]}:{each.value}", wishes)


def _san(entry: Entry, written: str, wishes: Wishes) -> None:
    try:
        san = names.parse_san(written)
    except Refusal as refusal:
        wishes.tell(entry, f"{written[:60]} is left out: {refusal.detail}")
    else:
        wishes.sans.append(san)
        wishes.san_entries.append(entry)


def _tell_sans(wishes: Wishes) -> None:
    """Told once all usages are known."""
    chosen = set(kinds_of(wishes))
    for san, entry in zip(wishes.sans, wishes.san_entries, strict=True):
        if san.kind in chosen:
            wishes.tell(entry, f"the CSR may choose SANs of kind {san.kind}")
        else:
            wishes.tell(entry, f"no CSR may choose it, with serverAuth; write {san} into the device's record")


def kinds_of(wishes: Wishes) -> list[names.SanKind]:
    """The kinds of SAN that a CSR may choose, of those that the file asks for, each once.

    Whoever may choose the names of a server's certificate can play any server, Hatchery's listeners too.
    """
    is_for_servers = ExtendedKeyUsage.SERVER_AUTH in wishes.usages
    kinds = dict.fromkeys(san.kind for san in wishes.sans)
    return [kind for kind in kinds if not (is_for_servers and kind in _OF_SERVERS)]
