from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from pki.core.errors import Refusal
from pki.management.arguments import lifetime
from pki.models import Device, Profile
from pki.services import devices, tokens
from pki.services.audit import Actor
from pki.services.transactions import writing


class Command(BaseCommand):
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
        try:
            chosen = (
                Profile.objects.select_related("issuer").get(name=profile)
                if profile
                else devices.default_profile()
            )
            with writing():  # a device that is registered for a token that is refused is not
                if device is None:
                    secret, _ = tokens.make(
                        actor, now, chosen, name_pattern=pattern or "", uses=uses, lifetime=ttl
                    )
                else:
                    found = self._device(device, chosen, profile, actor)
                    secret, _ = tokens.make(actor, now, found.profile, device=found, uses=uses, lifetime=ttl)
        except Profile.DoesNotExist as error:
            raise CommandError(
                f"There is no profile {profile!r}." if profile else "Run first: python manage.py bootstrap"
            ) from error
        except Refusal as refusal:
            raise CommandError(refusal.detail) from refusal
        self.stdout.write(secret)

    def _device(self, name: str, chosen: Profile, profile: str | None, actor: Actor) -> Device:
        try:
            found = devices.find(name)
        except devices.DeviceUnknown:
            registered = devices.register(name, chosen, actor, timezone.now())
            self.stderr.write(f"Registered the device {name} under the profile {chosen}.")
            return registered
        if profile and found.profile != chosen:
            raise CommandError(f"The device {name} has the profile {found.profile}, not {profile}.")
        return found
