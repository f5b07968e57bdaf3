import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.core import csr
from pki.management.base import ServiceCommand
from pki.services import by_hand
from pki.services.audit import Actor
from pki.services.by_hand import Holder
from pki.services.fleet import devices


class Command(ServiceCommand):
    help = "Sign a CSR for a device and print the certificate with its chain, PEM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--device", required=True, metavar="NAME", help="a device on record")
        parser.add_argument("--csr", required=True, metavar="FILE", help="PEM or DER; - for standard input")

    def handle(self, *args: Any, device: str, **options: Any) -> None:
        devices.find(device)  # said before anybody waits for standard input
        source: str = options["csr"]
        try:
            with sys.stdin.buffer if source == "-" else Path(source).open("rb") as file:
                pem = file.read(csr.LARGEST_CSR + 1)  # one more, so that csr.verify refuses it
        except OSError as error:
            raise CommandError(f"{source} cannot be read: {error.strerror}.") from error
        issued, granted = by_hand.issue(Holder(device), csr.verify_file(pem), Actor.shell(), timezone.now())
        for wish in granted.ignored:
            self.stderr.write(f"Not granted: {wish}.")
        self.stdout.write(issued.pem.decode(), ending="")
