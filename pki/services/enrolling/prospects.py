"""What an enrollment request asks for, read again from its CSR, and whose it would be."""

from dataclasses import dataclass, replace

from pki.core import csr
from pki.core.csr import VerifiedRequest
from pki.core.errors import Refusal
from pki.core.profiles import Grant, KeyKindRefused, NameMismatch, Record, Rules, grant
from pki.models import Device, EnrollmentRequest, Profile
from pki.services.fleet import devices


@dataclass(frozen=True)
class Prospect:
    """A request as it stands today: the device and the profile may have changed since it was made."""

    request: VerifiedRequest
    name: str | None  # the device's, as far as it is known
    device: Device | None  # None for one that is not on record yet
    profile: Profile
    rules: Rules  # the profile's, without the one that is waived

    def granted(self) -> Grant:
        """What its certificate would hold. Raises as `profiles.grant`."""
        record = self.device.record if self.device else Record(self.name or "")
        return grant(self.rules, record, self.request)

    def refusal(self) -> Refusal | None:
        """Why the profile would refuse it, if it would."""
        try:
            self.granted()
        except Refusal as refusal:
            return refusal
        return None


def look(found: EnrollmentRequest, waived: str = "") -> Prospect:
    """Read a request whose CSR was kept, as if the rule of the code `waived` did not hold.

    Raises what `csr.verify_der` raises.
    """
    request = csr.verify_der(bytes(found.csr_der or b""))
    device = found.device
    name = device.name if device else request.common_name
    if device is None and name is not None:
        device = Device.objects.select_related("profile__issuer__parent").filter(name=name).first()
    profile = device.profile if device else found.profile or devices.default_profile()
    return Prospect(request, name, device, profile, _without(profile.rules, request, waived))


def _without(rules: Rules, request: VerifiedRequest, waived: str) -> Rules:
    if waived == KeyKindRefused.code:
        return replace(rules, key_kinds=rules.key_kinds | {request.key_kind})
    if waived == NameMismatch.code:
        return replace(rules, any_common_name=True)
    return rules
