"""A trail, and one whose triggers somebody has taken away."""

import pytest

from pki.services.auditing import sealing
from tests.services.auditing.trail import MINUTE, defenceless
from tests.services.cast import registered


@pytest.fixture
def sealed(ca, now):
    """A trail with two checkpoints: nothing was made since the second one."""
    sealing.seal(now)
    for name in ("door", "gate", "lamp"):
        registered(name, now)
    sealing.seal(now + MINUTE)
    return now + MINUTE


@pytest.fixture
def eve(sealed):
    defenceless("pki_auditevent", "pki_auditseal", "pki_auditcheckpoint", "pki_auditsigner")
    return sealed
