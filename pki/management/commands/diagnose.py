import argparse
import getpass
import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import recognition, targets
from pki.core.credentials import CredentialRefused
from pki.core.findings import Severity
from pki.core.profiles import ExtendedKeyUsage
from pki.core.targets import Target, TargetRefused
from pki.management import diagnosis_json, diagnosis_report, passwords, verdicts
from pki.management.base import ServiceCommand
from pki.management.verdicts import Looked, Verdict
from pki.services.looking import inspection, probing, server_inspection
from pki.services.looking.inspection import File

_USES = {"client": ExtendedKeyUsage.CLIENT_AUTH, "server": ExtendedKeyUsage.SERVER_AUTH}
_LOCKED = {"password_needed", "p12_password_needed"}


class Command(ServiceCommand):
    help = (
        "Say what is wrong with certificates, keys, P12 files and CSRs, or with a server (host:port). "
        "Exit status: 0 nothing would be refused, 1 something would, 2 it could not be looked at."
    )
    # Of this command a status of 1 is an answer.
    failed = Verdict.UNKNOWN

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "what",
            nargs="+",
            metavar="FILE|HOST:PORT",
            help="files, which are looked at together (- is standard input), and servers, one by one",
        )
        parser.add_argument(
            "--cacert", metavar="FILE", help="a trust store, in place of this Hatchery's own CAs"
        )
        parser.add_argument("--cert", metavar="FILE", help="the client certificate to show to a server")
        parser.add_argument("--key", metavar="FILE", help="its private key")
        parser.add_argument("--p12", metavar="FILE", help="both, as PKCS#12")
        parser.add_argument("--name", metavar="HOST", help="the name to ask a server for, and to look for")
        parser.add_argument("--use", choices=_USES, help="who shows files (client; with --name, server)")
        parser.add_argument(
            "--password-file", metavar="FILE", help="opens files (- for standard input; else asked)"
        )
        parser.add_argument(
            "--timeout",
            type=_seconds,
            default=probing.SECONDS,
            metavar="SECONDS",
            help="how long one server may take (10)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, what: list[str], **options: Any) -> None:
        self._password = _password(options["password_file"])
        name = _host(options["name"])
        store = self._read(options["cacert"]) if options["cacert"] else None
        servers = {each: target for each in what if (target := _server(each)) is not None}
        files = [self._read(each) for each in what if each not in servers]
        shown = [self._read(options[each]) for each in ("cert", "key", "p12") if options[each]]
        if shown and not servers:
            raise CommandError(
                "--cert, --key and --p12 are what a server is shown: name one as host:port, or give the "
                "files without these words.",
                returncode=Verdict.UNKNOWN,
            )
        looked: list[Looked] = []
        if files:
            use = _USES[options["use"] or ("server" if name else "client")]
            looked.append(self._files(files, use, name, store))
        looked += self._servers(list(servers.values()), shown, name, store, options["timeout"])
        self._print(looked, as_json=options["json"])
        if found := verdicts.verdict(looked):
            sys.exit(found)

    def _files(self, files: list[File], use: ExtendedKeyUsage, name: str, store: File | None) -> Looked:
        now = timezone.now()
        found = inspection.inspect_files(files, now, use=use, hostname=name, store=store)
        return Looked(", ".join(each.name for each in files), found, now)

    def _servers(
        self, servers: list[Target], shown: list[File], name: str, store: File | None, seconds: float
    ) -> list[Looked]:
        looked, credential = [], None
        if shown:
            # What is wrong with it, no server may say. --cacert is for servers' chains, not for this one.
            looked.append(self._files(shown, ExtendedKeyUsage.CLIENT_AUTH, "", None))
            try:
                credential = server_inspection.credential(shown)
            except CredentialRefused as refusal:
                self.stderr.write(f"It is not shown to any server. {refusal.detail}")
        for target in servers:
            now = timezone.now()
            found = server_inspection.inspect(
                target, now, name=name, credential=credential, store=store, seconds=seconds
            )
            looked.append(Looked(str(target), found.inspection, now, found.probed))
        return looked

    # --- What is given ---

    def _read(self, path: str) -> File:
        try:
            with nullcontext(sys.stdin.buffer) if path == "-" else Path(path).open("rb") as file:
                data = file.read(recognition.LARGEST + 1)  # one more, so that it is said to be too large
        except OSError as error:
            hint = "" if ":" in path else " A server is named as host:port."
            raise CommandError(
                f"{path} cannot be read: {error.strerror}.{hint}", returncode=Verdict.UNKNOWN
            ) from error
        name = "standard input" if path == "-" else path
        return File(name, data, self._password or self._asked(name, data))

    def _asked(self, name: str, data: bytes) -> str:
        if not sys.stdin.isatty() or not _LOCKED & {
            each.code for each in recognition.recognise(data, source=name).findings
        }:
            return ""
        return getpass.getpass(f"Password of {name}: ")

    # --- What is said ---

    def _print(self, looked: list[Looked], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(diagnosis_json.as_json(looked), indent=2))
            return
        self.stdout.write("\n\n".join("\n".join(diagnosis_report.text(each, self._paint)) for each in looked))

    def _paint(self, severity: Severity, word: str) -> str:
        styles = {
            Severity.REFUSED: self.style.ERROR,
            Severity.WARNING: self.style.WARNING,
            Severity.GOOD: self.style.SUCCESS,
        }
        style = styles.get(severity)
        return style(word) if style is not None else word


def _server(text: str) -> Target | None:
    """The server that a word names; None for a file."""
    if not targets.is_named(text) or Path(text).exists():
        return None
    try:
        return targets.parse(text)
    except TargetRefused as refusal:
        raise CommandError(f"{text}: {refusal.detail}", returncode=Verdict.UNKNOWN) from refusal


def _host(name: str | None) -> str:
    if not name:
        return ""
    try:
        return targets.host(name)
    except TargetRefused as refusal:
        raise CommandError(f"--name: {refusal.detail}", returncode=Verdict.UNKNOWN) from refusal


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]+)?", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to 999")
    return float(text)


def _password(path: str | None) -> str:
    try:
        return passwords.read(path) if path is not None else ""
    except CommandError as error:
        raise CommandError(str(error), returncode=Verdict.UNKNOWN) from error
