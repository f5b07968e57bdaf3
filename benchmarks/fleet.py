"""A fleet as a company has it after two years: who was registered when, and what became of each.

Values alone: no database, no clock. The same seed makes the same fleet.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

DAY = 86_400  # seconds
SPAN = 730 * DAY

KINDS = ("door", "lamp", "gate", "meter", "pump", "kiosk", "camera", "sensor")
SITES = tuple(
    f"{city}-{part}"
    for city in (
        "berlin",
        "paris",
        "madrid",
        "rome",
        "vienna",
        "oslo",
        "dublin",
        "athens",
        "lisbon",
        "prague",
    )
    for part in ("north", "south", "east", "west", "centre")
)  # these are the groups
LABELS = ("beta", "canary", "spare", *(f"floor={n}" for n in range(9)), *(f"line={n}" for n in range(20)))
# Profile → how long its certificates live, in seconds, and how many of a hundred devices have it.
PROFILES = {"device": (30 * DAY, 70), "sensor": (90 * DAY, 20), "gateway": (365 * DAY, 10)}
REASONS = (
    *("superseded",) * 10,
    *("cessationOfOperation",) * 4,
    *("unspecified",) * 2,
    *("keyCompromise",) * 2,
    *("certificateHold",) * 2,
)
REFUSALS = {
    "token_invalid": "The token is not valid; ask an administrator for a new one.",
    "token_missing": "Enrollment needs a token; send the header: Authorization: Bearer <token>.",
    "name_mismatch": "The CSR's CN must be the device's name, or be left out.",
    "key_refused": "The key is RSA-1024; RSA keys must have 2048 to 4096 bits.",
    "csr_malformed": "The PEM block does not hold a PKCS#10 request.",
    "key_in_use": "This key has a certificate under another name; each device needs its own key.",
}
HANDSHAKES = {
    "certificate_expired": "The certificate has expired.",
    "unknown_issuer": "The certificate is of another CA.",
    "no_certificate": "No certificate was sent.",
}


class Deed(IntEnum):
    """What happens to a fleet; of what happens in one second, the lower comes first."""

    REGISTERED = 0
    TOKEN_MADE = 1
    ISSUED = 2
    REVOKED = 3
    CHANGED_STATE = 4
    REFUSED = 5
    WAITING = 6
    HANDSHAKE_REFUSED = 7


# When (seconds since 1970), what, which device, and of its certificates which: to be sorted.
Step = tuple[int, Deed, int, int]


@dataclass(slots=True)
class Member:
    """A device of the fleet."""

    name: str
    profile: str
    registered_at: int
    issued_at: list[int]
    ended_at: int  # since then nobody saw it; in the future if it is at work
    state: str
    sites: tuple[int, ...]  # indexes into SITES
    labels: tuple[int, ...]  # indexes into LABELS
    sans: tuple[str, ...]
    own_token: bool
    address: str


def members(devices: int, certificates: int, now: int, chance: random.Random) -> list[Member]:
    """The devices in the order of their registration, with `certificates` among them."""
    shares = _shares(devices, certificates, chance)
    made = [_member(number, share, now, chance) for number, share in enumerate(shares)]
    return sorted(made, key=lambda member: member.registered_at)


def _shares(devices: int, certificates: int, chance: random.Random) -> list[int]:
    """How many certificates each device has; some were registered and never enrolled."""
    each, left = divmod(certificates, devices)
    shares = [each + (number < left) for number in range(devices)]
    for first, second in pairwise(range(0, devices)):
        if first % 2 == 0:
            moved = chance.randint(0, shares[first])
            shares[first] -= moved
            shares[second] += moved
    return shares


def _member(number: int, share: int, now: int, chance: random.Random) -> Member:
    profile = chance.choices(list(PROFILES), [weight for _, weight in PROFILES.values()])[0]
    lifetime = PROFILES[profile][0]
    # Most are at work; of one in ten nothing was heard for long.
    gone = chance.random() < 0.1
    ended_at = now - chance.randint(lifetime, SPAN // 2) if gone else now + 1
    step = max(1, min(lifetime * 2 // 3, (SPAN - (now - ended_at if gone else 0)) // (share + 1)))
    latest = min(ended_at, now) - chance.randrange(step)
    issued = [latest - step * back for back in range(share)][::-1]
    registered_at = (issued[0] if issued else now - chance.randrange(SPAN)) - chance.randrange(DAY)
    site = chance.randrange(len(SITES))
    kind = chance.choice(KINDS)
    name = f"{kind}-{SITES[site]}-{number:06d}"
    sans: tuple[str, ...] = ()
    if profile == "gateway":
        sans = (f"DNS:{name}.example.net", f"IP:10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    elif number % 10 == 0:
        sans = (f"DNS:{name}.example.net",)
    return Member(
        name=name,
        profile=profile,
        registered_at=registered_at,
        issued_at=issued,
        ended_at=ended_at,
        state=chance.choices(("retired", "suspended", "active"), (3, 2, 5) if gone else (0, 1, 99))[0],
        sites=(site,) if number % 20 else (site, chance.randrange(len(SITES))),
        labels=tuple({chance.randrange(len(LABELS)) for _ in range(chance.choice((0, 0, 1, 1, 2)))}),
        sans=sans,
        own_token=number % 3 == 0,
        address=f"203.{number % 113}.{number // 113 % 256}.{number % 251 + 1}",
    )


def story(fleet: list[Member], now: int, refused: int, waiting: int, chance: random.Random) -> list[Step]:
    """All that happened, in its order."""
    steps = sorted(_steps(fleet, now, chance))
    for _ in range(refused):
        steps.append((now - int(SPAN * chance.random() ** 2), Deed.REFUSED, 0, 0))
        steps.append((now - int(SPAN * chance.random() ** 2), Deed.HANDSHAKE_REFUSED, 0, 0))
    steps += [(now - chance.randrange(3 * DAY), Deed.WAITING, number, 0) for number in range(waiting)]
    return sorted(steps)


def _steps(fleet: list[Member], now: int, chance: random.Random) -> Iterator[Step]:
    for index, member in enumerate(fleet):
        yield (member.registered_at, Deed.REGISTERED, index, 0)
        if member.own_token:
            yield (member.registered_at, Deed.TOKEN_MADE, index, 0)
        for number, at in enumerate(member.issued_at):
            yield (at, Deed.ISSUED, index, number)
            if chance.random() < 0.05:
                left = min(PROFILES[member.profile][0], now - at)
                yield (at + chance.randrange(left + 1), Deed.REVOKED, index, number)
        if member.state != "active":
            yield (max(member.registered_at, min(now, member.ended_at)), Deed.CHANGED_STATE, index, 0)
