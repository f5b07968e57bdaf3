from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from pki.management.base import ServiceCommand
from pki.services.audit import Actor
from pki.services.keeping import backup, passphrase


class Command(ServiceCommand):
    help = (
        "Write database, keys and settings into one new file, while Hatchery serves. The keys are encrypted, "
        "and their passphrase is not in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path, help="the archive (.tar.gz) to make")
        parser.add_argument(
            "--with-passphrase",
            action="store_true",
            help="put the passphrase of the keys into it: whoever has the file has the CA",
        )

    def handle(self, *args: Any, file: Path, with_passphrase: bool, **options: Any) -> None:
        saved = backup.save(file, Actor.shell(), timezone.now(), with_passphrase=with_passphrase)
        self.stdout.write(
            f"Wrote {file}: {saved.size:,} bytes, with the database ({saved.manifest.database}), "
            f"{saved.keys} keys and the settings, as of {saved.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC."
        )
        for name in saved.elsewhere:
            self.stderr.write(
                f"The key of {name} is on another node, and so not in it: make a backup there too."
            )
        if with_passphrase:
            self.stdout.write(
                "The passphrase of the keys is in it: whoever has this file has the CA. Keep it as you would "
                "keep the CA's keys themselves."
            )
        else:
            self.stdout.write(
                f"The passphrase is not in it; {passphrase.place()}. Keep a copy elsewhere: without it "
                "nobody can restore this backup, and the keys are gone for good."
            )
