from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import authority_files, names
from pki.core.authority_files import Brought
from pki.core.key_files import PassphraseNeeded
from pki.management import passwords
from pki.management.base import ServiceCommand
from pki.models import Issuer
from pki.services.audit import Actor
from pki.services.moving import authority, bringing
from pki.services.moving.bringing import Luggage
from pki.services.moving.issued import File

_LARGEST_INDEX = 50_000_000  # bytes; some 100 a line


class Command(ServiceCommand):
    help = (
        "Make a CA that you have run with OpenSSL an issuer here, with what it has issued. Run it again with "
        "a newer index, and what is new is added."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cert", metavar="FILE", help="the CA's certificate, PEM or DER")
        parser.add_argument("--key", metavar="FILE", help="its key, PEM or DER, encrypted or not")
        parser.add_argument(
            "--p12", metavar="FILE", help="both of them, PKCS#12, instead of --cert and --key"
        )
        parser.add_argument("--chain", metavar="FILE", help="the CAs above it, PEM, if it is no root")
        parser.add_argument(
            "--passphrase-file",
            metavar="FILE",
            help="the key's passphrase, on the first line; - for standard input. Else it is asked for",
        )
        parser.add_argument("--name", default="", metavar="NAME", help="what the issuer is called (its CN)")
        parser.add_argument("--index", metavar="FILE", help="index.txt of openssl ca: what it has issued")
        parser.add_argument(
            "--certs", metavar="FOLDER", help="the certificates that it has issued (newcerts), PEM or DER"
        )
        parser.add_argument(
            "--profile", default="", metavar="NAME", help="of the devices; made if there is none of the name"
        )
        parser.add_argument(
            "--listeners",
            action="store_true",
            help="give Hatchery's own listeners certificates under this CA, so that its devices trust them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now, actor = timezone.now(), Actor.shell()
        luggage = Luggage(
            index=_text(options["index"]) if options["index"] else None,
            files=list(_files(Path(options["certs"]))) if options["certs"] else None,
            profile=options["profile"],
            name=options["name"].strip(),
        )
        found = self._known(options) or self._brought(options)
        if options["listeners"]:
            authority.require_listeners_may_follow(found, now)
        arrived = bringing.bring(found, luggage, actor, now)
        issuer = arrived.issuer
        if arrived.is_new:
            self.stdout.write(f"Imported {issuer}, SHA-256 {issuer.fingerprint}.")
        for remark in arrived.remarks:
            self.stderr.write(f"The CA: {remark}")
        if arrived.outcome is not None:
            for said in arrived.outcome.remarks:
                self.stderr.write(names.printable(f"{said.where}: {said.what}."))
            self.stdout.write(arrived.outcome.in_words)
        if arrived.profile is not None:
            days = arrived.profile.lifetime.days
            self.stdout.write(f"New devices of it have the profile {arrived.profile}: {days} days.")
        if options["listeners"]:
            authority.serve_under(issuer, actor, now)
            self.stdout.write(
                f"The listeners get certificates under {issuer} at the next start, or within a minute."
            )

    def _known(self, options: dict[str, Any]) -> Issuer | None:
        """The issuer that was imported before, if there is more to do for it than that."""
        if not options["cert"] or not (options["index"] or options["certs"] or options["listeners"]):
            return None
        return authority.find(authority_files.certificates(_read(options["cert"]), "certificate")[0])

    def _brought(self, options: dict[str, Any]) -> Brought:
        chain = authority_files.certificates(_read(options["chain"]), "chain") if options["chain"] else []
        if options["p12"] and not (options["cert"] or options["key"]):
            data = _read(options["p12"])
            brought = self._opened(lambda secret: authority_files.from_p12(data, secret), options)
        elif options["cert"] and options["key"] and not options["p12"]:
            certificate, key = _read(options["cert"]), _read(options["key"])
            brought = self._opened(
                lambda secret: authority_files.from_files(certificate, key, secret), options
            )
        else:
            raise CommandError("Give the CA: --cert with --key, or --p12 by itself.")
        return Brought(brought.certificate, brought.key, (*brought.others, *chain))

    def _opened(self, opened: Callable[[str | None], Brought], options: dict[str, Any]) -> Brought:
        """The CA, with a passphrase only if there is something to open with it."""
        try:
            brought = opened(None)
        except PassphraseNeeded:
            file = options["passphrase_file"]
            if file is None:
                return opened(passwords.asked("passphrase of the CA's key", instead="--passphrase-file"))
            return opened(passwords.read_for_key(file))
        self.stderr.write("The key was not encrypted where it lay; take care of all copies of that file.")
        return brought


def _read(file: str) -> bytes:
    try:
        with Path(file).open("rb") as opened:
            # One byte more than is read tells that it is too large.
            return opened.read(authority_files.LARGEST + 1)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _text(file: str) -> str:
    try:
        path = Path(file)
        if path.stat().st_size > _LARGEST_INDEX:
            raise CommandError(f"{file} is larger than an index of half a million certificates.")
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error


def _files(folder: Path) -> Iterator[File]:
    try:
        for path in sorted(folder.iterdir()):
            if path.is_file() and path.stat().st_size <= authority_files.LARGEST:
                yield File(path.name, path.read_bytes())
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error
