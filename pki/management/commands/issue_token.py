from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from pki.management.arguments import lifetime
from pki.management.base import ServiceCommand
from pki.models import Device, Profile
from pki.services.audit import Actor
from pki.services.enrolling import tokens
from pki.services.fleet import devices
from pki.services.transactions import writing


class Command(ServiceCommand):
    help = "Print a new enrollment token, and nothing else. A device that is not on record is registered."

    def add_arguments(self, parser: CommandParser) -> None:
        for_whom = parser.add_mutually_exclusive_group(required=True)
        for_whom.add_argument("--device", metavar="NAME", help="for this device")
        for_whom.add_argument("--pattern", metavar="GLOB", help="for new devices of such names: 'door-*'")
        parser.add_argument("--uses", type=int, default=1, metavar="N", help="how often it may be used (1)")
        parser.add_argument(
            "--ttl", type=lifetime, default=tokens.DEFAULT_LIFETIME, metavar="1h", help="how long (24h)"
        )
        parser.add_argument(
            "--profile", metavar="NAME", help="of a device that is not on record yet (device)"
        )

    def handle(
        self,
        *args: Any,
        device: str | None,
        pattern: str | None,
        uses: int,
        ttl: timedelta,
        profile: str | None,
        **options: Any,
    ) -> None:
        actor, now = Actor.shell(), timezone.now()
        chosen = self._profile(profile)
        if device is None:
            secret, _ = tokens.make(actor, now, chosen, name_pattern=pattern or "", uses=uses, lifetime=ttl)
            self.stdout.write(secret)
            return
        with writing():  # a device is not registered for a token that is refused
            found, is_new = self._device(device, chosen, actor, now)
            if profile and found.profile != chosen:
                raise CommandError(f"The device {device} has the profile {found.profile}, not {profile}.")
            secret, _ = tokens.make(actor, now, found.profile, device=found, uses=uses, lifetime=ttl)
        if is_new:
            self.stderr.write(f"Registered the device {device} under the profile {chosen}.")
        self.stdout.write(secret)

    def _profile(self, name: str | None) -> Profile:
        try:
            if name is None:
                return devices.default_profile()
            return Profile.objects.select_related("issuer__parent").get(name=name)
        except Profile.DoesNotExist as error:
            raise CommandError(
                f"There is no profile {name!r}." if name else "Run first: python manage.py bootstrap"
            ) from error

    def _device(self, name: str, profile: Profile, actor: Actor, now: datetime) -> tuple[Device, bool]:
        try:
            return devices.find(name), False
        except devices.DeviceUnknown:
            return devices.register(name, profile, actor, now), True
