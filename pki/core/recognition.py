"""What somebody pasted: told apart into certificates, requests and keys, whatever it is wrapped in.

Nothing is raised for what cannot be read: it becomes a finding.
"""

import base64
import binascii
import re
from collections.abc import Iterable

from pki.core import containers, profile_parts
from pki.core.findings import Severity
from pki.core.parts import Kind, Recognised

LARGEST = 1_000_000  # bytes

# Two to seven dashes: those that were lost, or grew, are a damage that is named.
# It begins with a dash: one that began with any blanks was tried at each blank of a paste, and took hours for
# a megabyte of them.
_LINE = re.compile(rb"-{2,7} *(BEGIN|END) ([A-Z0-9 #]{1,40}?) *-{2,7}", re.IGNORECASE)
_INTACT = re.compile(rb"-----(BEGIN|END) [A-Z0-9 #]{1,40}-----")


def recognise(
    data: bytes, password: str = "", into: Recognised | None = None, source: str = ""
) -> Recognised:
    """Everything that `data` holds: PEM of any kind, DER, base64 of DER, PKCS#12, PKCS#7, Apple's profiles.

    `password` opens what is encrypted. What other files held may be in `into` already; `source` names this
    one, and is empty for a paste.
    """
    recognised = into if into is not None else Recognised()
    recognised.source = source
    if not data.strip():
        recognised.found(
            "nothing_pasted",
            Severity.NOTE,
            "It is empty." if source else "Nothing was pasted.",
            "Choose another file." if source else "Paste a text or choose a file.",
        )
    elif len(data) > LARGEST:
        recognised.found(
            "too_large",
            Severity.WARNING,
            f"More than {LARGEST:,} bytes are not looked at.",
            "Show less of it.",
        )
    else:
        _recognise(_as_bytes(data), password, recognised)
    return recognised


def _as_bytes(data: bytes) -> bytes:
    # Windows editors write UTF-16, and a mark before UTF-8.
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace").encode()
    return data.removeprefix(b"\xef\xbb\xbf")


def _recognise(data: bytes, password: str, into: Recognised) -> None:
    if b"\\n" in data and b"--" in data and data.count(b"\n") < 3:
        into.found(
            "escaped_line_breaks",
            Severity.WARNING,
            "Its line breaks are written as \\n, as in JSON or in an environment variable.",
            "Write real line breaks before a program reads it as PEM.",
        )
        data = data.replace(b"\\r", b"").replace(b"\\n", b"\n")
    if _LINE.search(data):
        _pem(data, password, into)
    elif not _whole(data, "DER", password, into):
        decoded = _base64(data)
        if decoded is None or not _whole(decoded, "base64 of DER", password, into):
            _nothing_known(data, into)


def _whole(data: bytes, origin: str, password: str, into: Recognised) -> bool:
    return profile_parts.read(data, password, into) or containers.read(data, origin, password, into)


# --- PEM (RFC 7468) -------------------------------------------------------------------------------


def _pem(data: bytes, password: str, into: Recognised) -> None:
    label, lines = None, list[bytes]()
    for line in data.splitlines():
        match = _LINE.search(line)
        if match is None:
            if label is not None:
                lines.append(line)
            continue
        if not _INTACT.fullmatch(line.strip()):
            _damaged(into, "A BEGIN or END line is damaged: it has five dashes on each side, nothing else.")
        word, named = match[1].upper(), match[2].strip().upper()
        if word == b"BEGIN":
            if label is not None:
                _damaged(into, f"A block, {_word(label)}, has no END line before the next begins.")
                _block(label, lines, password, into)
            label, lines = named, []
        elif label is None:
            _damaged(into, f"An END line, {_word(named)}, has no BEGIN line before it.")
        else:
            if named != label:
                _damaged(into, f"A block begins as {_word(label)} and ends as {_word(named)}.")
            _block(label, lines, password, into)
            label = None
    if label is not None:
        _damaged(into, f"The last block, {_word(label)}, has no END line: it was cut short.")
        _block(label, lines, password, into)


def _word(label: bytes) -> str:
    return label.decode("ascii", "replace")


def _damaged(into: Recognised, sentence: str) -> None:
    into.found(
        "pem_damaged",
        Severity.WARNING,
        sentence,
        "Copy it again, whole, from -----BEGIN to the end of the END line.",
    )


def _block(label: bytes, lines: list[bytes], password: str, into: Recognised) -> None:
    origin = f"PEM, {_word(label)}"
    # RFC 1421 4.6: headers, of old encrypted keys, then an empty line.
    headers = [line for line in lines if b":" in line]
    content = _base64(b"".join(line for line in lines if b":" not in line))
    if content is None:
        into.add(Kind.UNREADABLE, origin)
        _damaged(into, f"The text of a block, {_word(label)}, is not base64.")
    elif label == b"OPENSSH PRIVATE KEY":
        _not_for_tls(into, origin)
    elif headers and label.endswith(b"PRIVATE KEY"):
        containers.old_encrypted_key(label, headers, content, password, into)
    elif not containers.read(content, origin, password, into):
        into.add(Kind.UNREADABLE, origin)
        _damaged(into, f"A block, {_word(label)}, does not hold what it says: it is cut short or changed.")


def _not_for_tls(into: Recognised, origin: str) -> None:
    part = into.add(Kind.UNREADABLE, origin)
    into.found(
        "ssh_key",
        Severity.WARNING,
        "This is a key of OpenSSH's own format, which TLS does not read.",
        "Make a key with openssl genpkey, or convert it with ssh-keygen -p -m PEM.",
        part,
    )


def _base64(text: bytes) -> bytes | None:
    """What base64 holds, in the usual or the URL's alphabet, with or without padding; None if it is none."""
    packed = b"".join(text.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True) or None
    except binascii.Error:
        return None


# --- None of these --------------------------------------------------------------------------------

_MAGIC: Iterable[tuple[bytes, str, str]] = (
    (
        b"\xfe\xed\xfe\xed",
        "a Java keystore (JKS)",
        "Convert it: keytool -importkeystore -deststoretype pkcs12.",
    ),
    (b"ssh-", "an SSH public key", "TLS does not read it; paste a certificate or a PEM key."),
    (b"ecdsa-sha2-", "an SSH public key", "TLS does not read it; paste a certificate or a PEM key."),
    (b"PuTTY-User-Key-File", "a PuTTY key", "TLS does not read it; paste a certificate or a PEM key."),
    (b"PK\x03\x04", "a ZIP archive", "Unpack it, and paste what is in it."),
    (b"<", "XML or HTML", "Paste the certificate itself."),
    (b"{", "JSON", "Paste the certificate that is in it, with real line breaks."),
)


def _nothing_known(data: bytes, into: Recognised) -> None:
    what, advice = next(
        (
            (f"This looks like {what}.", advice)
            for magic, what, advice in _MAGIC
            if data.lstrip().startswith(magic)
        ),
        (
            "This is no certificate, request, key, PKCS#12 or PKCS#7 that can be read.",
            "Paste the whole file, from -----BEGIN to the END line, or upload it if it is binary.",
        ),
    )
    into.found("not_recognised", Severity.WARNING, what, advice)
