"""The trust bundle: made when what it says changes, signed anew before its signer ends, served as stored."""

from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Count, Max, Q

from pki.core import keys, pins, trust_bundles
from pki.core.errors import Refusal
from pki.core.trust_bundles import Root
from pki.keystore import KeystoreError, keystore
from pki.models import Issuer, TrustBundle
from pki.services import audit
from pki.services.audit import HATCHERY
from pki.services.transactions import alone, writing
from pki.services.trusting import bundle_signatures, pinning, standby_keys
from pki.services.trusting.anchors import anchors
from pki.services.trusting.bundle_signatures import NoBundleSigner

_MINUTE = timedelta(minutes=1)


class NoTrustBundle(Refusal):
    """No root stands that devices could be told to trust."""

    code = "no_trust_bundle"


class BundleBusy(Refusal):
    """Another process makes the bundle at this moment."""

    code = "bundle_busy"


def current(now: datetime) -> TrustBundle:
    """The bundle as it is stored; made here if there is none, if its signature is due, if an issuer was
    declared compromised since it was signed, or if the database was restored since it was made.

    Raises NoTrustBundle, NoBundleSigner, BundleBusy or KeystoreError.
    """
    newest = _newest()
    if newest is not None and not _is_due(newest, now):
        return newest
    # What names no key that was stolen since is no lie, and better than nothing: a device sees whether its
    # signature has ended.
    usable = newest if newest is not None and not _is_outdated(newest, now) else None
    try:
        with alone("trust-bundle") as free:
            if not free and usable is None:
                raise BundleBusy("The trust bundle is being made at this moment; try again in a few seconds.")
            return _publish(now) if free else usable  # type: ignore[return-value]  # one of both is there
    except (NoBundleSigner, KeystoreError):
        if usable is None:
            raise
        return usable


def publish_due(now: datetime) -> bool:
    """Make a new version if what it says has changed, or sign it anew if that is due, or below a root whose
    key is here only now; whether it was done.

    And make the next root's key ahead, so that its pin is in the bundle long before it is used.

    Left to another process that is at it, and to the first run before there is an issuer. Raises
    NoTrustBundle, NoBundleSigner or KeystoreError.
    """
    if not Issuer.objects.exists():
        return False
    found, newest = anchors(now), _newest()
    _prepare_next_root(found.trusted, now)
    if newest is not None and not _is_due(newest, now) and _says(newest) == _body(found.trusted, now):
        return _sign_below_more(newest, found.vouching, now)
    with alone("trust-bundle") as free:
        return free and _publish(now).signed_at != (newest.signed_at if newest else None)


def _sign_below_more(bundle: TrustBundle, roots: list[Issuer], now: datetime) -> bool:
    """Sign below those of these roots that could not when the bundle was signed; whether it was done.

    Those that it has stay: another node may have made them, which has other roots' keys.
    """
    if not bundle_signatures.lacking(bundle, roots):
        return False
    with alone("trust-bundle") as free:
        bundle.refresh_from_db()
        late = bundle_signatures.lacking(bundle, roots) if free else []
        try:
            signatures = bundle_signatures.made(bundle.contents, late, now) if late else None
        except KeystoreError:
            return False  # the log says so
        if signatures is not None:
            with writing():
                signatures.add(bundle)
        return signatures is not None


def _prepare_next_root(roots: list[Issuer], now: datetime) -> None:
    """A key of the kind that the newest of these roots has, if that is on this node."""
    if roots and keystore().has(roots[-1].key_reference):
        standby_keys.prepare(standby_keys.ROOT, keys.describe(roots[-1].certificate.public_key()), now)


def _newest() -> TrustBundle | None:
    return TrustBundle.objects.order_by("-version").first()


def _is_due(bundle: TrustBundle, now: datetime) -> bool:
    return now >= bundle.sign_again_at or _is_outdated(bundle, now)


def _is_outdated(bundle: TrustBundle, now: datetime) -> bool:
    """Whether an issuer was declared compromised since it was signed, which it may tell devices to trust; or
    whether it is from before a restore, and devices may have a later version, and refuse this one.
    """
    since = Q(compromised_at__gte=bundle.signed_at)
    if now - bundle.signed_at < _MINUTE:
        # By a clock that was ahead: then it is signed anew once a minute, not at each request.
        since &= Q(compromised_at__lt=now + _MINUTE)
    found = Issuer.objects.aggregate(restored=Max("crl_floor"), compromised=Count("pk", filter=since))
    return bool(found["compromised"]) or trust_bundles.is_from_before(bundle.version, found["restored"] or 0)


def _restored() -> int:
    """When the database was restored last, in seconds since 1970: numbers of CRLs begin anew there
    (`keeping.aftermath`).
    """
    return Issuer.objects.aggregate(at=Max("crl_floor"))["at"] or 0


def _says(bundle: TrustBundle) -> str:
    return trust_bundles.body_of(bundle.contents)


def _publish(now: datetime) -> TrustBundle:
    """The bundle as it is to be now, for who is alone."""
    found = anchors(now)
    if not found.trusted:
        raise NoTrustBundle("No root stands that devices could trust; an administrator must make one.")
    newest, says = _newest(), _body(found.trusted, now)
    restored = _restored()
    is_lower = newest is not None and trust_bundles.is_from_before(newest.version, restored)
    if newest is not None and _says(newest) == says and not is_lower:
        return _signed_anew(newest, found.vouching, now) if _is_due(newest, now) else newest
    version = trust_bundles.version_at(now, newest.version if newest else 0, restored)
    contents = trust_bundles.text(version, now, says)
    bundle = TrustBundle(
        version=version,
        contents=contents,
        fingerprint=pins.fingerprint(contents.encode()),
        made_at=now,
    )
    signatures = bundle_signatures.made(contents, found.vouching, now)
    try:
        with writing():
            signatures.store(bundle)
            audit.record(
                "trust_bundle.made",
                HATCHERY,
                now,
                version=version,
                roots=[root.name for root in found.trusted],
                fingerprint=bundle.fingerprint,
            )
    except IntegrityError:
        # Who lost the database in between is not alone any more.
        raise BundleBusy("The trust bundle was made by another node just now; ask again.") from None
    return bundle


def _signed_anew(bundle: TrustBundle, roots: list[Issuer], now: datetime) -> TrustBundle:
    signatures = bundle_signatures.made(bundle.contents, roots, now)
    with writing():
        signatures.store(bundle)
    return bundle


def _body(roots: list[Issuer], now: datetime) -> str:
    named = [Root(root.name, root.state, root.certificate) for root in roots]
    return trust_bundles.body(pinning.pinned(roots, now), named)
