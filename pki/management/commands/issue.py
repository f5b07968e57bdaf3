import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pki.core import csr
from pki.core.errors import Refusal
from pki.keystore import KeystoreError
from pki.services import devices, issuance
from pki.services.audit import Actor


class Command(BaseCommand):
    help = "Sign a CSR for a device and print the certificate with its chain, PEM."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--device", required=True, metavar="NAME", help="a device on record")
        parser.add_argument("--csr", required=True, metavar="FILE", help="PEM; - for standard input")

    def handle(self, *args: Any, device: str, **options: Any) -> None:
        source: str = options["csr"]
        try:
            pem = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        except OSError as error:
            raise CommandError(f"{source} cannot be read: {error.strerror}.") from error
        try:
            issued, granted = issuance.issue(
                devices.find(device), csr.verify(pem), Actor.shell(), timezone.now()
            )
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        except KeystoreError as error:
            raise CommandError(str(error)) from error
        for wish in granted.ignored:
            self.stderr.write(f"Not granted: {wish}.")
        self.stdout.write(issued.pem.decode(), ending="")
