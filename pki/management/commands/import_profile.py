from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import names, openssl_config
from pki.management.base import ServiceCommand
from pki.models import Issuer
from pki.services.audit import Actor
from pki.services.moving import drafts


class Command(ServiceCommand):
    help = "Make a profile from an OpenSSL .cnf, and say what each of its lines becomes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="as for openssl req -config, or -extfile")
        parser.add_argument("--name", required=True, metavar="NAME", help="of the new profile")
        parser.add_argument("--issuer", required=True, metavar="NAME", help="who signs under it")
        parser.add_argument("--dry-run", action="store_true", help="say what it becomes, and store nothing")

    def handle(self, *args: Any, file: str, name: str, issuer: str, dry_run: bool, **options: Any) -> None:
        found = Issuer.objects.filter(name=issuer).first()
        if found is None:
            named = ", ".join(repr(each.name) for each in Issuer.objects.order_by("pk")[:20])
            raise CommandError(f"There is no issuer {issuer!r}; there are {named or 'none'}.")
        drafted = drafts.draft(_text(file))
        profile = drafts.profile_of(name, found, drafted)
        if not dry_run:
            drafts.save(profile, drafted, Actor.shell(), timezone.now())
        for told in drafted.told:
            where = f"line {told.line}" if told.line else "not said"
            self.stdout.write(names.printable(f"{where}: {told.written}: {told.becomes}."))
        done = f"The profile {profile} is there, under {found}."
        self.stdout.write("Nothing is stored." if dry_run else done)


def _text(file: str) -> str:
    try:
        with Path(file).open(encoding="utf-8") as opened:
            return opened.read(openssl_config.LARGEST + 1)  # one more, so that it is refused
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise CommandError(f"{file} is not UTF-8 text.") from None
