"""The next issuer: made beside the one that it is to replace, so that both stand while the fleet moves."""

import hashlib
import re
from collections.abc import Iterable
from datetime import datetime

from pki.core.errors import Refusal
from pki.keystore import keystore
from pki.models import Issuer
from pki.services.audit import Actor
from pki.services.issuing import authorities
from pki.services.issuing.dependence import Dependents, able_to_sign, dependents
from pki.services.transactions import one_at_a_time, writing
from pki.services.trusting import cross_certificates, standby_keys

__all__ = ["Dependents", "SuccessorExists", "dependents", "make_next", "to_be_replaced_below"]

_LONGEST_NAME = 64  # RFC 5280 appendix A, ub-common-name
_GENERATION = re.compile(r" G([1-9][0-9]*)\Z")
_LOCK = hashlib.sha256(b"succession").hexdigest()


class SuccessorExists(Refusal):
    """The issuer was given a successor before, which is active."""

    code = "successor_exists"


def make_next(issuer: Issuer, spec: str, actor: Actor, now: datetime, name: str = "") -> Issuer:
    """Make the issuer that is to replace `issuer`, with a key of kind `spec`; all of it or nothing.

    Without `name` it is called as the one before, with its generation: `Hatchery Issuing CA G2`. An issuing
    CA is made under the same root. A root gets its key from the standby keys, and a new issuing CA below it
    for each that is active below the old one; and while the old one, and those before it, are active, each
    certifies the new one's key, and the new one theirs. A compromised root certifies nothing, and all that is
    not retired below it is replaced.

    Raises SuccessorExists, IssuerExists, NameRefused, KeyRefused, ParentInactive, IssuerExpired or
    KeystoreError.
    """
    _require_no_successor(issuer, now)
    if issuer.parent is not None:
        authorities.require_active(issuer.parent)
    name = name or _next_name(issuer, ())
    authorities.require_free(name)
    if issuer.parent is not None:
        return _next_subordinate(issuer, issuer.parent, name, spec, actor, now)
    return _next_root(issuer, name, spec, actor, now)


def _next_subordinate(
    issuer: Issuer, parent: Issuer, name: str, spec: str, actor: Actor, now: datetime
) -> Issuer:
    # Before the transaction, which would keep others from writing: an RSA key takes seconds.
    reference = keystore().create("issuer", spec)
    with writing():
        _require_still_so(issuer, [name], now)
        return authorities.subordinate_with(name, parent, reference, actor, now, predecessor=issuer)


def to_be_replaced_below(root: Issuer, now: datetime) -> list[Issuer]:
    """The issuing CAs for each of which one is made below the next root."""
    living = root.subordinates.filter(not_after__gt=now).exclude(state=Issuer.State.RETIRED)
    if root.state != Issuer.State.COMPROMISED:
        # The next one of a compromised CA is made below this root, which stands.
        living = living.filter(state=Issuer.State.ACTIVE)
    return list(living.exclude(successors__in=able_to_sign(now)).order_by("pk"))


def _next_root(old: Issuer, name: str, spec: str, actor: Actor, now: datetime) -> Issuer:
    planned: list[tuple[Issuer, str, str]] = []
    taken = [name]
    for each in to_be_replaced_below(old, now):
        taken.append(_next_name(each, taken))
        planned.append((each, taken[-1], keystore().create("issuer", spec)))
    standby_keys.prepare(standby_keys.ROOT, spec, now)
    with writing():
        _require_still_so(old, taken, now)
        reference = standby_keys.take(standby_keys.ROOT, spec, now)
        root = authorities.root_with(name, reference, actor, now, predecessor=old)
        for before in cross_certificates.line_above(root):
            if cross_certificates.is_active(before, now):
                cross_certificates.certify_both(root, before, actor, now)
        for each, its_name, its_reference in planned:
            authorities.subordinate_with(its_name, root, its_reference, actor, now, predecessor=each)
    return root


def _require_still_so(issuer: Issuer, names: Iterable[str], now: datetime) -> None:
    """Ask again, inside the transaction, when nobody else can make one any more."""
    one_at_a_time(_LOCK)
    _require_no_successor(issuer, now)
    if issuer.parent_id is not None:
        authorities.require_active(Issuer.objects.get(pk=issuer.parent_id))
    for name in names:
        authorities.require_free(name)


def _require_no_successor(issuer: Issuer, now: datetime) -> None:
    successor = able_to_sign(now).filter(predecessor=issuer).first()
    if successor is not None:
        raise SuccessorExists(f"{issuer} has a successor already, {successor}; retire that to make another.")


def _next_name(issuer: Issuer, taken: Iterable[str]) -> str:
    """The name of an issuer with the next generation that nobody has."""
    match = _GENERATION.search(issuer.name)
    generation = int(match[1]) if match else 1
    base = issuer.name[: match.start()] if match else issuer.name
    used = {*Issuer.objects.values_list("name", flat=True), *taken}
    while True:
        generation += 1
        suffix = f" G{generation}"
        name = base[: _LONGEST_NAME - len(suffix)].rstrip() + suffix
        if name not in used:
            return name
