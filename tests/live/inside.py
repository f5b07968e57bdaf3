"""What a test does inside a server's installation, in a process of its own.

`Server.inside("function", ...)` runs one of these against the server's data directory; each prints its
result.
"""

import atexit
import gc
import io
import json
import os
import shlex
import signal
import sys
import time
from datetime import datetime, timedelta

import django
from cryptography.hazmat.primitives.serialization import Encoding

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
atexit.register(gc.freeze)
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from pki.core import bundles, certificates, crls, csr, keys, names, pins, profiles  # noqa: E402
from pki.core.errors import Refusal  # noqa: E402
from pki.keystore import keystore  # noqa: E402
from pki.models import (  # noqa: E402
    FULL,
    AuditEvent,
    Certificate,
    Device,
    DeviceGroup,
    EnrollmentRequest,
    Issuer,
    LastSeen,
    Profile,
    Renewal,
    Revocation,
    RevocationList,
    StaleList,
)
from pki.models.immutable import make_triggers  # noqa: E402
from pki.services import audit  # noqa: E402
from pki.services.audit import Actor  # noqa: E402
from pki.services.enrolling import tokens, waivers  # noqa: E402
from pki.services.fleet import devices, rotation  # noqa: E402
from pki.services.issuing import authorities, issuance, listener_certificates, succession  # noqa: E402
from pki.services.issuing import profiles as stored_profiles  # noqa: E402
from pki.services.people import logins  # noqa: E402
from pki.services.renewing import superseding  # noqa: E402
from pki.services.revoking import revocation  # noqa: E402
from pki.services.telling import notices, webhooks  # noqa: E402
from pki.services.transactions import writing  # noqa: E402
from pki.services.trusting import published_roots, standby_keys  # noqa: E402
from portal.listeners import certified_listeners  # noqa: E402
from tests.live import late_events  # noqa: E402

ACTOR = Actor("shell:test")


def change_state(name: str, state: str) -> None:
    """Suspend, resume or retire a device."""
    devices.change_state(Device.objects.get(name=name), Device.State(state), ACTOR, timezone.now())


def newest_refusal(name: str) -> None:
    """A device's newest refused handshake, from the audit trail."""
    event = AuditEvent.objects.filter(kind="handshake.refused", device__name=name).latest("pk")
    told = (event.detail[key] for key in ("reason", "subject", "issuer", "certificate_serial"))
    print(event.address, event.certificate.serial, *told, sep="\n")


def end_now(name: str) -> None:
    """Let a certificate's record have ended, past the trigger that forbids it, as only a test may."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER pki_certificate_immutable")
    Certificate.objects.filter(common_name=name).update(not_after=timezone.now() - timedelta(seconds=1))
    make_triggers(using="default")


def issue_in_the_past(name: str, days: str, profile: str = devices.DEFAULT_PROFILE) -> None:
    """A device's certificate for the CSR on standard input, as it was issued so many days ago."""
    then = timezone.now() - timedelta(days=float(days))
    device = devices.register(name, Profile.objects.get(name=profile), ACTOR, then)
    issued, _ = issuance.issue(device, csr.verify(sys.stdin.buffer.read()), ACTOR, then)
    print(issued.pem.decode())


def sign_off_the_record_in_the_past(name: str, days: str) -> None:
    """A device's certificate that our issuer has signed so many days ago, stored nowhere, and its key."""
    then = timezone.now() - timedelta(days=float(days))
    profile, key = devices.default_profile(), keys.generate("P-256")
    granted = profiles.Grant(names.subject({"CN": name}), (), ())
    _print_signed(profile, granted, key.public_key(), then)
    print("#")
    print(bundles.private_key_pem(key).decode())


def revoke_expired(name: str) -> None:
    """Revoke a device's certificates though they have ended, as a list of stolen devices may."""
    ended = Certificate.objects.filter(common_name=name).select_related("device")
    revocation.revoke(ended, Revocation.Reason.KEY_COMPROMISE, ACTOR, timezone.now())


def make_tokens(pattern: str, number: str) -> None:
    """Tokens for one use each, all or none; prints a line each."""
    profile = devices.default_profile()
    with writing():
        made = [
            tokens.make(ACTOR, timezone.now(), profile, name_pattern=pattern)[0] for _ in range(int(number))
        ]
    print(*made, sep="\n")


def allow_once(name: str) -> None:
    """Allow the newest refused enrollment of this name."""
    refused = EnrollmentRequest.objects.filter(name=name, state=EnrollmentRequest.State.REFUSED)
    waivers.allow_once(refused.latest("last_at").pk, ACTOR, timezone.now())


def revoke_each() -> None:
    """Revoke the certificate of each serial that comes on standard input, and say so once it is done."""
    for serial in sys.stdin:
        reason = Revocation.Reason.KEY_COMPROMISE
        revocation.revoke([revocation.find_by_serial(serial.strip())], reason, ACTOR, timezone.now())
        print("revoked", flush=True)


def lift_hold(name: str) -> None:
    """Lift the holds of a device's certificates."""
    held = Certificate.objects.filter(common_name=name, revocation__reason=revocation.HOLD)
    revocation.lift(held.select_related("device"), ACTOR, timezone.now())


def sign_off_the_record(name: str) -> None:
    """A certificate for the CSR on standard input that our issuer signs and nobody stores."""
    profile = devices.default_profile()
    request = csr.verify(sys.stdin.buffer.read())
    granted = profiles.grant(profile.rules, profiles.Record(name), request)
    _print_signed(profile, granted, request.key)


def record_a_forgery(name: str) -> None:
    """Put a device and a certificate in our issuer's name on record, as who writes the database can.

    It is for the CSR on standard input, and signed by a key that is not the issuer's, which they lack.
    """
    now, profile = timezone.now(), devices.default_profile()
    request = csr.verify(sys.stdin.buffer.read())
    granted = profiles.grant(profile.rules, profiles.Record(name), request)
    unsigned = certificates.end_entity(
        profile.rules, granted, request.key, authorities.authority(profile.issuer), now
    )
    forger = keys.generate("P-256")
    forged = unsigned.sign(forger, keys.signature_hash(forger))
    device = devices.register(name, profile, ACTOR, now)
    spki = pins.spki_sha256(request.key)
    with writing():
        issuance.store(forged, granted, profile, profile.issuer, device, ACTOR, now, spki_sha256=spki)
    print(bundles.pem([forged, *authorities.chain(profile.issuer)]).decode())


def sign_a_server(name: str) -> None:
    """A server certificate by the right issuer, and its key."""
    key = keys.generate("P-256")
    granted = profiles.Grant(names.subject({"CN": name}), (names.host_san(name),), ())
    _print_signed(Profile.objects.get(name="server"), granted, key.public_key())
    print("#")
    print(bundles.private_key_pem(key).decode())


def last_seen(name: str) -> None:
    """From where a device was last seen, its TLS version, and the serial that it showed; empty if never."""
    for seen in LastSeen.objects.select_related("certificate").filter(device__name=name):
        print(seen.address, seen.tls_version, seen.certificate.serial, sep="\n")


def put_into_groups(name: str, *groups: str) -> None:
    """Put a device into groups, made where there are none."""
    for group in groups:
        DeviceGroup.objects.get_or_create(name=group)[0].devices.add(Device.objects.get(name=name))


def group_those(begins: str, group: str) -> None:
    """Put the devices whose names begin so into a group, made where there is none."""
    found = Device.objects.filter(name__startswith=begins)
    DeviceGroup.objects.get_or_create(name=group)[0].devices.add(*found)


def change_profile(name: str, *changes: str) -> None:
    """Make a profile of this name like that of devices but for the changes (`grace_hours=2`), and put the
    devices of the same name into it, if there is one.
    """
    profile = devices.default_profile()
    profile.pk, profile.name, profile._state.adding = None, name, True
    for change in changes:
        column, _, value = change.partition("=")
        setattr(profile, column, json.loads(value))
    profile.save()
    Device.objects.filter(name=name).update(profile=profile)


def supersede_in(name: str, minutes: str) -> None:
    """Do what is due of superseding in so many minutes, and say how much of it was the device's."""
    superseding.supersede_due(timezone.now() + timedelta(minutes=float(minutes)))
    revoked = Revocation.objects.filter(certificate__common_name=name, reason="superseded")
    print(revoked.count())


def first_used(name: str) -> None:
    """How many renewed certificates of a device were shown to us."""
    print(Renewal.objects.filter(device__name=name).exclude(used_at=None).count())


def rotate(name: str) -> None:
    """Ask a device for a new key."""
    rotation.request(Device.objects.get(name=name), ACTOR, timezone.now())


def add_login_key(name: str) -> None:
    """Let the key of a device's certificate log the administrator in."""
    certificate = Certificate.objects.filter(common_name=name).latest("pk")
    logins.add_key(User.objects.get(username="admin"), certificate, name, ACTOR, timezone.now())


def new_issuer(name: str) -> None:
    """A new issuing CA and a profile of the same name that uses it."""
    above = devices.default_profile()
    issuer = authorities.make_subordinate(
        name, authorities.root_of(above.issuer), "P-256", ACTOR, timezone.now()
    )
    above.pk, above.name, above.issuer, above._state.adding = None, name, issuer, True
    above.save()


def renew_listeners() -> None:
    """Renew the listeners' certificates that are due, as the workers do each minute."""
    listener_certificates.renew_due(certified_listeners(), settings.PORTAL_HOSTNAMES, ACTOR, timezone.now())


def replace_listener_certificates() -> None:
    """Revoke the listeners' certificates, and have them renewed for that; their new serials."""
    now, listeners = timezone.now(), certified_listeners()
    revocation.revoke(
        list(listener_certificates.shown(listeners, now).values()), Revocation.Reason.SUPERSEDED, ACTOR, now
    )
    # A worker that is at it has them all done: then this leaves them to it.
    while len(shown := listener_certificates.shown(listeners, now)) < len(listeners):
        renew_listeners()
        time.sleep(0.05)
    for listener, certificate in shown.items():
        print(listener, certificate.serial)


def renew_for_ever() -> None:
    """Renew a listener's certificate, and never come to the end of its transaction."""

    def record(*args: object, **kwargs: object) -> None:
        print("in the middle", flush=True)
        signal.pause()

    shown = listener_certificates.shown(["hello"], timezone.now())
    revocation.revoke(list(shown.values()), Revocation.Reason.SUPERSEDED, ACTOR, timezone.now())
    audit.record = record
    renew_listeners()


def standby_key(listener: str) -> None:
    """The pin of a listener's next key, and that of the one it has, as hex."""
    now = timezone.now()
    print(standby_keys.waiting().get(purpose=standby_keys.of_listener(listener)).spki_sha256)
    print(listener_certificates.shown([listener], now)[listener].spki_sha256)


def new_root(root_name: str, issuing_name: str) -> None:
    """A root that nobody knows, with an issuing CA below it; its certificate, PEM."""
    now = timezone.now()
    root = authorities.make_root(root_name, "P-256", ACTOR, now)
    authorities.make_subordinate(issuing_name, root, "P-256", ACTOR, now)
    print(bundles.pem([root.certificate]).decode())


def publish_root(name: str) -> None:
    """Publish a root in the trust bundle, as on its page."""
    published_roots.publish(Issuer.objects.get(name=name), ACTOR, timezone.now())


def give_servers(issuing_name: str) -> None:
    """Give the profile `server` an issuer, as on its page; what refuses it."""
    profile = Profile.objects.get(name=listener_certificates.SERVER_PROFILE)
    profile.issuer = Issuer.objects.get(name=issuing_name)
    try:
        stored_profiles.save(profile, ["issuer"], ACTOR, timezone.now())
    except Refusal as refusal:
        print(refusal.code)


def open_enrollment() -> None:
    """Let the device profile sign for anybody."""
    Profile.objects.filter(name="device").update(enrollment_policy=Profile.Policy.OPEN)


def make_root(name: str, spec: str) -> None:
    """A root with a key of this kind; its certificate, PEM."""
    root = authorities.make_root(name, spec, ACTOR, timezone.now())
    print(bundles.pem([root.certificate]).decode())


def next_root() -> None:
    """The next root, bridged to the first one; its certificate, PEM."""
    first = Issuer.objects.filter(parent=None).order_by("pk")[0]
    print(bundles.pem([succession.make_next(first, "P-384", ACTOR, timezone.now()).certificate]).decode())


def move_to_next_issuer(*profiles: str) -> None:
    """Let profiles issue from the successors of their issuers, and the listeners show such certificates."""
    for profile in Profile.objects.filter(name__in=profiles).select_related("issuer"):
        Profile.objects.filter(pk=profile.pk).update(issuer=profile.issuer.successors.get())
    listener_certificates.renew_due(certified_listeners(), settings.PORTAL_HOSTNAMES, ACTOR, timezone.now())


def declare_first_root_compromised() -> None:
    """Declare the first root compromised."""
    first = Issuer.objects.filter(parent=None).order_by("pk")[0]
    authorities.change_state(first, Issuer.State.COMPROMISED, ACTOR, timezone.now())


def declare_compromised(name: str) -> None:
    """Declare an issuer compromised."""
    authorities.change_state(Issuer.objects.get(name=name), Issuer.State.COMPROMISED, ACTOR, timezone.now())


def issuers() -> None:
    """The key identifiers of the issuers below the root."""
    for issuer in Issuer.objects.filter(parent__isnull=False).order_by("pk"):
        print(issuer.key_identifier)


def store_large_list(number: str) -> None:
    """A full list of so many certificates, of which there is no other trace, of the issuer below the root."""
    issuer, now = Issuer.objects.get(parent__isnull=False), timezone.now().replace(microsecond=0)
    found = RevocationList.objects.get(issuer=issuer, shard=FULL)
    heading = crls.Heading(
        found.number + 1, found.this_update + timedelta(seconds=1), now + timedelta(days=1)
    )
    entries = [crls.Entry(2**120 + each, now, crls.HOLD) for each in range(int(number))]
    signed = keystore().sign(issuer.key_reference, crls.complete(issuer.certificate, heading, entries))
    der = signed.public_bytes(Encoding.DER)
    RevocationList.objects.filter(pk=found.pk).update(
        number=heading.number,
        this_update=heading.this_update,
        next_update=heading.next_update,
        fingerprint=pins.fingerprint(der),
        der=der,
    )


def _print_signed(
    profile: Profile, granted: profiles.Grant, key: keys.CertifiedKey, at: datetime | None = None
) -> None:
    authority = authorities.authority(profile.issuer)
    to_be_signed = certificates.end_entity(profile.rules, granted, key, authority, at or timezone.now())
    signed = keystore().sign(profile.issuer.key_reference, to_be_signed)
    print(bundles.pem([signed, *authorities.chain(profile.issuer)]).decode())


def tell(url: str) -> None:
    """Have a webhook to this URL told of something."""
    webhooks.add("ops", url, [], ACTOR, timezone.now())
    notices.tell("certificate.revoked", "Something happened.", timezone.now())


def diagnose_each() -> None:
    """Run `manage.py diagnose` with the words of each line of standard input, as a shell has them; a JSON
    line each, of the exit status and what was printed.
    """
    for line in sys.stdin:
        out, status = io.StringIO(), 0
        try:
            call_command("diagnose", *shlex.split(line, comments=True), stdout=out, stderr=out)
        except SystemExit as ended:
            status = int(str(ended.code))
        print(json.dumps([status, out.getvalue()]))


def forget_lists() -> None:
    """Have every CRL be stale."""
    for found in RevocationList.objects.all():
        StaleList.objects.create(issuer=found.issuer, shard=found.shard, at=timezone.now())


def seal_late() -> None:
    """Seal while events are committed late, and many at once; what was found of it, JSON."""
    print(json.dumps(late_events.run()))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
