from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser
from django.utils import timezone

from pki.management import passwords
from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.keeping import passphrase


class Command(ServiceCommand):
    help = (
        "Give the keys of this node another passphrase, while Hatchery is stopped. Without an option it asks "
        "for the new one. If it is interrupted, run it again."
    )
    # One that is too short, for which nothing else starts, is changed by this.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        new = parser.add_mutually_exclusive_group()
        new.add_argument(
            "--new-passphrase-file", metavar="FILE", type=Path, help="a file that holds the new one"
        )
        new.add_argument(
            "--generate",
            action="store_true",
            help="a random one, where no setting gives it: it is kept in the data directory",
        )
        parser.add_argument(
            "--old-passphrase-file",
            metavar="FILE",
            type=Path,
            help="a file that holds the old one, if the settings have the new one already",
        )

    def handle(
        self,
        *args: Any,
        new_passphrase_file: Path | None,
        generate: bool,
        old_passphrase_file: Path | None,
        **options: Any,
    ) -> None:
        old: str = settings.PORTAL_KEY_PASSPHRASE
        if old_passphrase_file is not None:
            old = passphrase.read(old_passphrase_file)
        new = None
        if new_passphrase_file is not None:
            new = passphrase.read(new_passphrase_file)
        elif not generate:
            new = passwords.asked_twice("new passphrase", passphrase.checked, instead="--new-passphrase-file")
        done = passphrase.change(old, new, Actor.shell(), timezone.now())
        had = f"; {done.already} had it before" if done.already else ""
        self.stdout.write(f"{done.changed} keys have the new passphrase now{had}.")
        self.stdout.write(_what_next())


def _what_next() -> str:
    if settings.PORTAL_PASSPHRASE_IS_GENERATED:
        then = f"It is in {passphrase.kept_file()}; start Hatchery again."
    elif settings.PORTAL_KEY_PASSPHRASE_FILE:
        file = Path(settings.PORTAL_KEY_PASSPHRASE_FILE).absolute()
        then = f"Before you start Hatchery, put it into {file}, which PORTAL_KEY_PASSPHRASE_FILE names."
    else:
        then = "Before you start Hatchery, set PORTAL_KEY_PASSPHRASE to it (in the environment, or in .env)."
    return (
        f"{then}\n"
        "Backups and copies of the keys from before open with the old one: keep it for as long as you keep "
        "them. Other nodes have keys of their own: run this there too, or copy keys/ and the passphrase."
    )
