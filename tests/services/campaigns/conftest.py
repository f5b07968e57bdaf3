"""A fleet under an issuer, and another issuer that it could be led to."""

import pytest

from tests.services.campaigns.cast import Fleet, new_issuer


@pytest.fixture
def fleet(ca, now):
    return Fleet.of(6, now)


@pytest.fixture
def target(fleet, now):
    return new_issuer(now)
