from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management import arguments
from pki.management.base import ServiceCommand
from pki.models import Certificate, Device, Revocation
from pki.services.audit import Actor
from pki.services.fleet import devices
from pki.services.revoking import revocation


class Command(ServiceCommand):
    help = "Revoke a certificate, or all of a device that live or are on hold, at once."

    def add_arguments(self, parser: CommandParser) -> None:
        arguments.add_certificates(parser)
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
            certificates = self._of_device(device or "", now)
        revoked = revocation.revoke(certificates, Revocation.Reason(reason), Actor.shell(), now)
        if device is not None:
            # What a renewal that was under way has given it meanwhile.
            while more := list(revocation.living(devices.find(device), now)):
                revoked += revocation.revoke(more, Revocation.Reason(reason), Actor.shell(), now)
        for each in revoked:
            certificate = each.certificate
            self.stdout.write(f"Revoked {certificate.serial} of {certificate.common_name}: {reason}.")

    def _of_device(self, name: str, now: datetime) -> list[Certificate]:
        found = devices.find(name)
        rows = Device.objects.filter(pk=found.pk)
        certificates = list(revocation.in_short(revocation.revocable(rows, now)))
        if not certificates:
            revoked = Revocation.objects.filter(certificate__device=found, certificate__not_after__gte=now)
            already = ": what it has is revoked already" if revoked.exists() else ""
            raise CommandError(f"The device {name} has no living certificate{already}.")
        return certificates
