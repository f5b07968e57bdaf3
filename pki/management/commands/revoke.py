from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management.base import ServiceCommand
from pki.models import Revocation
from pki.services.audit import Actor
from pki.services.fleet import devices
from pki.services.revoking import revocation


class Command(ServiceCommand):
    help = "Revoke a certificate, or all living certificates of a device, at once."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--serial", metavar="SERIAL", help="the certificate's serial, hex or decimal")
        what.add_argument("--device", metavar="NAME", help="all of this device's certificates")
        parser.add_argument(
            "--reason",
            choices=Revocation.Reason.values,
            default=Revocation.Reason.UNSPECIFIED.value,
            metavar="REASON",
            help=f"one of {', '.join(Revocation.Reason.values)} (unspecified)",
        )

    def handle(self, *args: Any, serial: str | None, device: str | None, reason: str, **options: Any) -> None:
        now = timezone.now()
        if serial is not None:
            certificates = [revocation.find_by_serial(serial)]
        else:
            found = devices.find(device or "")
            certificates = list(revocation.living(found, now).select_related("device"))
            if not certificates:
                raise CommandError(f"The device {device} has no living certificate.")
        revoked = revocation.revoke(certificates, Revocation.Reason(reason), Actor.shell(), now)
        for each in revoked:
            certificate = each.certificate
            self.stdout.write(f"Revoked {certificate.serial} of {certificate.common_name}: {reason}.")
