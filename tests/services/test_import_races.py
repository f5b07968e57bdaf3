"""Several who import the same at once, on a real database."""

from functools import partial

import pytest

from pki.core import authority_files
from pki.keystore import keystore
from pki.models import Certificate, Device, Issuer, Revocation
from pki.services.moving import bringing
from pki.services.moving.authority import AuthorityExists
from pki.services.moving.bringing import Arrived, Luggage
from pki.services.moving.issued import File
from tests.services.cast import TESTER, at_once
from tests.services.moving_cast import PASSPHRASE, OldCa

CROWD = 4

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def old(settings, tmp_path, now):
    settings.PORTAL_DATA_DIR = tmp_path
    keystore.cache_clear()
    yield OldCa(tmp_path / "old", now)
    keystore.cache_clear()


def luggage(old: OldCa) -> Luggage:
    for serial in range(1, 6):
        old.issue(f"door-{serial}", serial, revoked="260102030405Z" if serial == 5 else None)
    files = [File(path.name, path.read_bytes()) for path in (old.folder / "newcerts").iterdir()]
    return Luggage((old.folder / "index.txt").read_text(), files)


def test_the_same_ca_imported_at_once_is_here_once(old, now):
    paths = [old.folder / "ca.pem", old.folder / "ca.key"]
    brought = authority_files.from_files(*(path.read_bytes() for path in paths), PASSPHRASE)
    packed = luggage(old)
    outcomes = at_once(*[partial(bringing.bring, brought, packed, TESTER, now)] * CROWD)
    arrived = [each for each in outcomes if isinstance(each, Arrived)]
    assert sum(each.is_new for each in arrived) == 1
    others = [each for each in outcomes if each not in arrived]
    assert all(isinstance(each, AuthorityExists) for each in others), others
    assert Issuer.objects.count() == 1
    assert keystore().copies().keys() == {f"{Issuer.objects.get().key_reference.removeprefix('file:')}.pem"}
    assert Certificate.objects.count() == Device.objects.count() == 5


def test_the_same_index_imported_at_once_is_stored_once(old, now):
    paths = [old.folder / "ca.pem", old.folder / "ca.key"]
    brought = authority_files.from_files(*(path.read_bytes() for path in paths), PASSPHRASE)
    issuer = bringing.bring(brought, Luggage(), TESTER, now).issuer
    packed = luggage(old)
    outcomes = at_once(*[partial(bringing.bring, issuer, packed, TESTER, now)] * CROWD)
    assert sorted(each.outcome.certificates for each in outcomes) == [0] * (CROWD - 1) + [5]
    assert sorted(each.outcome.revoked for each in outcomes) == [0] * (CROWD - 1) + [1]
    assert (Device.objects.count(), Revocation.objects.count()) == (5, 1)
