"""The certificates that an imported CA has issued are put on record, each with its device."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from pki.core import extensions, names, pins, reading
from pki.models import FULL, Certificate, Device, Issuer, Profile, SubjectAltName
from pki.services import audit
from pki.services.audit import Actor
from pki.services.fleet import devices
from pki.services.fleet.devices import NewDevice
from pki.services.moving import issued, naming, revocations
from pki.services.moving.issued import Copy, File, Reading, Remark
from pki.services.moving.outcome import Outcome
from pki.services.transactions import writing

_BATCH = 1_000  # rows of one statement
_CN = "CN"
_FOR_SERVERS = (
    "it is not for clients (no clientAuth): the secure listener refuses it. Give its device a profile for "
    "servers, if it is one"
)


@dataclass(frozen=True)
class _Arrival:
    """A certificate that is new here."""

    copy: Copy
    der: bytes
    fingerprint: str
    subject: dict[str, str]
    sans: list[names.San]
    spki_sha256: str

    @property
    def common_name(self) -> str:
        return names.printable(names.subject_attributes(self.copy.certificate.subject).get(_CN, ""))

    @property
    def key(self) -> naming.Whose:
        return naming.whose(self.copy.certificate, [str(san) for san in self.sans])


def read(authority: x509.Certificate, index: str | None, files: Iterable[File], now: datetime) -> Reading:
    """What a CA's `index.txt` and the files of its certificates say. Raises IndexRefused."""
    fingerprint = pins.fingerprint_of(authority)
    here = Certificate.objects.filter(issuer__fingerprint=fingerprint).only("der").iterator(_BATCH)
    return issued.read(authority, index, files, now, (each.parsed for each in here))


def keep(issuer: Issuer, read: Reading, profile: Profile, actor: Actor, now: datetime) -> Outcome:
    """Put what was read on record, all of it or nothing; devices that are new get `profile`. For who is alone
    at it (`bringing.bring`).

    Done again, it adds what is new since, and revokes what has been revoked since. What is revoked here stays
    so, whatever the index says, and a hold that was lifted here stays lifted.
    """
    done = Outcome(left_out=read.left_out, remarks=list(read.remarks))
    with writing():
        known = _known(issuer)
        new = list(_new(read.copies, known, done))
        made = _register(issuer, new, profile, actor, now, done)
        stored = _store(issuer, new, made, actor, now)
        done.certificates = len(stored)
        revocations.revoke(issuer, read.copies, {**known, **stored}, actor, now, done)
        unseen = revocations.without_authorities(issuer, read.unseen, actor, now, done)
        revocations.keep_unseen(issuer, unseen, actor, now, done)
        audit.record(
            "issuer.certificates_imported",
            actor,
            now,
            issuer=issuer.name,
            certificates=done.certificates,
            devices=done.devices,
            already=done.already,
            revoked=done.revoked,
            revoked_without_copy=done.unseen,
            authorities=done.authorities or None,
            left_out=done.left_out,
        )
    done.remarks.sort(key=lambda remark: remark.place)
    return done


def _known(issuer: Issuer) -> dict[str, Certificate]:
    """The certificates of the issuer that are here, by their serials, without their bytes."""
    rows = Certificate.objects.filter(issuer=issuer).select_related("device")
    rows = rows.only("serial", "fingerprint", "issuer_id", "crl_shard", "common_name", "device__name")
    return {row.serial: row for row in rows.iterator(_BATCH)}


def _new(copies: Iterable[Copy], known: dict[str, Certificate], done: Outcome) -> Iterator[_Arrival]:
    for copy in copies:
        der, fingerprint = issued.der_of(copy)
        before = known.get(copy.serial)
        if before is None:
            subject, sans, dropped = issued.names_of(copy.certificate)
            if dropped:
                what = f"not kept for its next certificate: {', '.join(dropped)[:100]}"
                done.remarks.append(Remark(copy.where, what))
            if _is_for_servers(copy):
                done.remarks.append(Remark(copy.where, _FOR_SERVERS))
            key = reading.public_key(copy.certificate)
            digest = pins.spki_sha256(key) if key is not None else ""
            yield _Arrival(copy, der, fingerprint, subject, sans, digest)
        elif before.fingerprint == fingerprint:
            done.already += 1
        else:
            done.left_out += 1
            done.remarks.append(Remark(copy.where, "left out: another certificate here has this serial"))


def _is_for_servers(copy: Copy) -> bool:
    usages = extensions.value_of(copy.certificate, x509.ExtendedKeyUsage)
    return usages is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usages


def _register(
    issuer: Issuer,
    new: Sequence[_Arrival],
    profile: Profile,
    actor: Actor,
    now: datetime,
    done: Outcome,
) -> list[Device]:
    """The device of each new certificate, in their order."""
    wishes = [naming.wanted(each.copy.certificate, each.sans) for each in new]
    register = naming.Register(issuer, [*(name for name, _ in wishes), *(each.common_name for each in new)])
    given: list[str] = []
    records: dict[str, NewDevice] = {}
    # The record of a device with several certificates is that of the newest.
    newest: dict[str, datetime] = {}
    owner_of_key: dict[str, str] = {}
    for each, (name, said) in zip(new, wishes, strict=True):
        name, more = register.give(each.key, name)
        given.append(name)
        _remark(done, each, said, more, _shared(owner_of_key, each, name))
        begins = each.copy.certificate.not_valid_before_utc
        if register.device(name) is None and (name not in newest or begins >= newest[name]):
            newest[name] = begins
            sans = [str(san) for san in each.sans]
            records[name] = NewDevice(name, profile, each.subject, sans)
    made = {
        device.name: device
        for batch in devices.register_each(list(records.values()), actor, now)
        for device in batch
    }
    done.devices = len(made)
    return [made.get(name) or _found(register, name) for name in given]


def _remark(done: Outcome, arrival: _Arrival, *said: str) -> None:
    done.remarks += [Remark(arrival.copy.where, what) for what in said if what]


def _shared(owner_of_key: dict[str, str], arrival: _Arrival, name: str) -> str:
    owner = owner_of_key.setdefault(arrival.spki_sha256, name)
    if owner == name or not arrival.spki_sha256:
        return ""
    return f"{owner} has the same key: each of the two can play the other. Give {name} a key of its own"


def _found(register: naming.Register, name: str) -> Device:
    device = register.device(name)
    if device is None:
        raise LookupError(f"{name} was neither made nor found.")
    return device


def _store(
    issuer: Issuer,
    new: Sequence[_Arrival],
    owners: Sequence[Device],
    actor: Actor,
    now: datetime,
) -> dict[str, Certificate]:
    rows = Certificate.objects.bulk_create(
        [_row(issuer, arrival, device, now) for arrival, device in zip(new, owners, strict=True)],
        batch_size=_BATCH,
    )
    SubjectAltName.objects.bulk_create(
        [
            SubjectAltName(certificate=row, value=san.value.lower())
            for row, arrival in zip(rows, new, strict=True)
            for san in arrival.sans
        ],
        batch_size=_BATCH,
    )
    audit.record_each(
        "certificate.imported",
        actor,
        now,
        [
            (row, {"name": row.common_name, "issuer": issuer.name, "fingerprint": row.fingerprint})
            for row in rows
        ],
    )
    return {row.serial: row for row in rows}


def _row(issuer: Issuer, arrival: _Arrival, device: Device, now: datetime) -> Certificate:
    certificate = arrival.copy.certificate
    return Certificate(
        issuer=issuer,
        serial=arrival.copy.serial,
        fingerprint=arrival.fingerprint,
        profile=device.profile,
        device=device,
        common_name=(arrival.common_name or device.name)[:64],
        sans=[str(san) for san in arrival.sans],
        spki_sha256=arrival.spki_sha256,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        issued_at=min(certificate.not_valid_before_utc, now),
        crl_shard=FULL,  # it names no list of ours
        der=arrival.der,
    )
