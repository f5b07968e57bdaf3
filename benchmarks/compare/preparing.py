"""Fresh requests for a Hatchery: a process of its own beside the server, in the same installation.

`python -m benchmarks.compare.preparing` reads lines of two words, an operation and a number, and answers each
with one line, a list in JSON of so many requests.
"""

import json
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator

import django
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.clients import make_csr

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from pki.core import csr  # noqa: E402
from pki.models import Device  # noqa: E402
from pki.services.audit import Actor  # noqa: E402
from pki.services.enrolling import tokens  # noqa: E402
from pki.services.fleet import devices  # noqa: E402
from pki.services.issuing import issuance  # noqa: E402
from pki.services.transactions import writing  # noqa: E402

Fresh = Iterator[dict[str, str]]

_ACTOR = Actor("shell:benchmark")


def enrollments(number: int) -> Fresh:
    """A token with one use and a CSR with a key of its own, for each of so many new devices."""
    handed = tokens.make_each(_registered(number), _ACTOR, timezone.now())
    for each in handed:
        yield {"token": each.secret, "csr": make_csr(each.name).decode()}


def renewals(number: int) -> Fresh:
    """A certificate with its key, and a CSR with the next key, for each of so many new devices."""
    for device in _registered(number):
        key = ec.generate_private_key(ec.SECP256R1())
        request = csr.verify(make_csr(device.name, key=key))
        with writing():
            issued, _ = issuance.issue(device, request, _ACTOR, timezone.now())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        yield {
            "certificate": issued.pem.decode(),
            "key": pem.decode(),
            "csr": make_csr(device.name).decode(),
        }


PREPARED: dict[str, Callable[[int], Fresh]] = {"sign-csr": enrollments, "renew": renewals}


def _registered(number: int) -> list[Device]:
    profile, prefix = devices.default_profile(), f"bench-{secrets.token_hex(4)}"
    new = [devices.NewDevice(f"{prefix}-{each}", profile) for each in range(number)]
    with writing():
        return [device for batch in devices.register_each(new, _ACTOR, timezone.now()) for device in batch]


def main() -> None:
    logging.disable(logging.WARNING)
    for line in sys.stdin:
        operation, number = line.split()
        print(json.dumps(list(PREPARED[operation](int(number)))), flush=True)


if __name__ == "__main__":
    main()
