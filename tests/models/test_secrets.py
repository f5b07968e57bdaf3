"""No secret is in the database: it may be copied, backed up and looked through."""

import base64
import itertools
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.db import connection

from pki.services.issuing import demo
from pki.services.revoking import revocation
from tests.services.cast import TESTER, Gadget, pattern_token, registered, token_for

pytestmark = pytest.mark.django_db(transaction=True)


def all_values():
    """Every value of every table, as bytes, whatever the database."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            for value in itertools.chain.from_iterable(cursor.fetchall()):
                if isinstance(value, bytes | memoryview):
                    yield bytes(value)
                else:
                    yield str(value).encode()


def dump() -> bytes:
    """All that a thief of the database has: its values, and on SQLite its files as they lie there."""
    everything = b"\n".join(all_values())
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        for path in file.parent.glob(f"{file.name}*"):
            everything += path.read_bytes()
    return everything


def writings(secret: bytes):
    """How bytes might have been written down."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield base64.b64encode(secret)
    yield base64.urlsafe_b64encode(secret).rstrip(b"=")


def private_parts(key):
    """A private key's number, and its PKCS#8 in DER: no part of either may be found."""
    numbers = key.private_numbers()
    length = (key.key_size + 7) // 8
    yield numbers.private_value.to_bytes(length, "big")
    yield key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture
def used(ca, now):
    """An installation that has done all it can with secrets."""
    demo.make(ca / "demo", TESTER, now)
    secrets = [(ca / "demo" / "token").read_text().strip()]
    door = registered("door-1", now)
    secrets += [token_for(door, now, uses=2), token_for(door, now), pattern_token("*", now)]
    Gadget("door-1").enroll(secrets[1], now)
    # A token that was refused is a secret too.
    with pytest.raises(revocation.Refusal):
        Gadget("door-2").enroll(secrets[1], now)
    with pytest.raises(revocation.Refusal):
        Gadget("door-1").enroll(secrets[3], now)
    return ca, secrets


def test_no_token_is_in_the_database_in_any_writing(used):
    _, secrets = used
    stored = dump()
    assert revocation.Certificate.objects.get(device__name="door-1").serial.encode() in stored, (
        "it is the dump"
    )
    for secret in secrets:
        for writing in writings(secret.encode()):
            assert writing not in stored


def test_no_private_key_is_in_the_database_in_any_writing(used, settings):
    data, _ = used
    stored = dump()
    keys = [
        load_pem_private_key(path.read_bytes(), settings.PORTAL_KEY_PASSPHRASE.encode())
        for path in (data / "keys").iterdir()
    ]
    keys.append(load_pem_private_key((data / "demo" / "client.key").read_bytes(), None))
    assert len(keys) > 3
    # Of the client's, for which there is a certificate; keys that are made ahead have none yet.
    point = keys[-1].public_key().public_numbers().x.to_bytes(32, "big")
    assert any(writing in stored for writing in writings(point)), "the public halves are found"
    for key in keys:
        for part in private_parts(key):
            assert not [writing for writing in writings(part) if writing in stored]
    assert b"PRIVATE KEY" not in stored


def test_neither_the_passphrase_nor_the_secret_key_nor_a_password_is_in_the_database(used, settings):
    stored = dump()
    for secret in (settings.PORTAL_KEY_PASSPHRASE, settings.SECRET_KEY, "a-password"):
        assert secret.encode() not in stored


def test_a_stolen_key_file_does_not_open_without_the_passphrase(used):
    data, _ = used
    for path in (data / "keys").iterdir():
        with pytest.raises((TypeError, ValueError)):
            load_pem_private_key(path.read_bytes(), None)
        # One wrong guess in 256 ends in padding that looks right, and in bytes that are no key.
        with pytest.raises(ValueError, match=r"(?i)password|decrypt|deserialize"):
            load_pem_private_key(path.read_bytes(), b"a guess")
