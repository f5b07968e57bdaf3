"""A backup's archive as a stranger might have altered it: nothing of it leaves its folder."""

import io
import json
import tarfile
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pki.services.keeping import archive, dot_env
from pki.services.keeping.manifest import FORMAT, BackupRefused, Manifest, SavedFile, SavedIssuer, read

PASSPHRASE = "a passphrase of the tests"
MOMENT = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
FILES = {"database.sqlite3": b"a database" * 100_000, "keys/issuer-1.pem": b"a key"}


@pytest.fixture
def made(tmp_path):
    """A folder of saved files and the archive of it."""
    folder = tmp_path / "made"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    files = {name: archive.describe(folder / name) for name in FILES}
    issuers = (SavedIssuer("Root", "file:issuer-1", 64 * "a", True),)
    manifest = Manifest("0.1.0", MOMENT, "sqlite", ("pki.0001_spine",), issuers, {"A": "b"}, files)
    archive.write(tmp_path / "made.tar.gz", manifest.sealed(PASSPHRASE), folder, files, MOMENT)
    return tmp_path / "made.tar.gz", manifest


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "deep" / "place"
    folder.mkdir(parents=True)
    return folder


def test_what_was_written_is_read_again(made, place):
    path, manifest = made
    found = archive.unpack(path, place)
    assert found.manifest == manifest
    assert found.opens_with(PASSPHRASE)
    assert {name: (place / name).read_bytes() for name in FILES} == FILES


def test_who_does_not_have_the_passphrase_cannot_seal_another_manifest(made, place):
    path, _ = made
    found = archive.unpack(path, place)
    assert not found.opens_with("another passphrase of the tests")
    envelope = json.loads((place.parent.parent / "made" / archive.MANIFEST).read_bytes())
    envelope["contents"]["files"]["database.sqlite3"]["sha256"] = 64 * "0"
    assert not read(json.dumps(envelope).encode()).opens_with(PASSPHRASE)


def refused(path, place) -> str:
    """What is said of an archive; nothing of it may lie outside the folder."""
    around = {each for each in place.parent.parent.rglob("*") if place not in each.parents}
    with pytest.raises(BackupRefused) as caught:
        archive.unpack(path, place)
    assert {each for each in place.parent.parent.rglob("*") if place not in each.parents} == around
    return caught.value.detail


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_an_archive_that_was_cut_off_is_refused(made, place, share):
    path, _ = made
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(path, place)


def test_an_archive_with_any_byte_missing_at_its_end_is_refused(made, place):
    path, _ = made
    path.write_bytes(path.read_bytes()[:-1])
    assert "damaged or cut off" in refused(path, place)


def test_an_archive_with_a_changed_byte_is_refused(made, place):
    path, _ = made
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    refused(path, place)


@pytest.mark.parametrize("data", [b"", b"not an archive", b"\x1f\x8b\x08", bytes(range(256)) * 100])
def test_another_file_is_refused(place, tmp_path, data):
    path = tmp_path / "other"
    path.write_bytes(data)
    refused(path, place)


def entry(name, data=b"evil", kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def altered(made, *more, without=(), first=False):
    """The archive again, with other entries behind the manifest."""
    path, _ = made
    with tarfile.open(path) as old:
        entries = [(each, old.extractfile(each).read()) for each in old if each.name not in without]
    entries[0 if first else len(entries) : 0] = more
    with tarfile.open(path, "w:gz") as new:
        for info, data in entries:
            new.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    "more",
    [
        entry("../evil"),
        entry("/tmp/hatchery-evil"),  # noqa: S108  it must not be made
        entry("keys/../../evil"),
        entry("keys/Evil.pem"),
        entry("secrets/key-passphrase"),
        entry("keys/issuer-1.pem"),
        entry("keys", kind=tarfile.DIRTYPE),
        entry("keys/evil-1.pem", kind=tarfile.FIFOTYPE),
        entry("keys/evil-1.pem", kind=tarfile.CHRTYPE),
        entry("keys/evil-1.pem", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        entry("keys/evil-1.pem", kind=tarfile.LNKTYPE, link="../../evil"),
    ],
    ids=lambda each: f"{each[0].name} {each[0].type.decode()}",
)
def test_what_the_manifest_does_not_name_is_refused(made, place, more):
    assert "does not belong into one" in refused(altered(made, more), place)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_file_that_is_something_else_is_refused(made, place, kind):
    link = entry("keys/issuer-1.pem", kind=kind, link="/etc/passwd")
    assert "does not belong" in refused(altered(made, link, without=("keys/issuer-1.pem",)), place)


def test_a_name_that_no_backup_has_is_refused_even_if_the_manifest_names_it(tmp_path, place):
    folder = tmp_path / "made"
    folder.mkdir()
    (tmp_path / "evil").write_bytes(b"evil")
    files = {"../evil": archive.describe(tmp_path / "evil")}
    manifest = Manifest("0.1.0", MOMENT, "sqlite", (), (), {}, files)
    archive.write(tmp_path / "evil.tar.gz", manifest.sealed(PASSPHRASE), folder, files, MOMENT)
    (tmp_path / "evil").unlink()
    assert "does not belong" in refused(tmp_path / "evil.tar.gz", place)
    assert not (tmp_path / "evil").exists()


def test_a_file_with_another_content_is_refused(made, place):
    other = entry("keys/issuer-1.pem", b"a KEY")
    assert "not as it was saved" in refused(altered(made, other, without=("keys/issuer-1.pem",)), place)


def test_a_file_that_is_missing_is_named(made, place):
    assert "lacks the file keys/issuer-1.pem" in refused(altered(made, without=("keys/issuer-1.pem",)), place)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"hatchery backup": "1"}',
        b'{"hatchery backup": 1, "contents": {}, "seal": ""}',
        b"[" * 100_000,
    ],
    ids=lambda data: data[:20].decode(errors="replace"),
)
def test_another_manifest_is_refused(made, place, data):
    path = altered(made, entry(archive.MANIFEST, data), without=(archive.MANIFEST,), first=True)
    assert "This is no backup of Hatchery" in refused(path, place)


SEALED = Manifest(
    "0.1.0",
    MOMENT,
    "sqlite",
    ("pki.0001_spine",),
    (SavedIssuer("Root", "file:issuer-1", 64 * "a", True),),
    {"A": "b"},
    {"keys/issuer-1.pem": SavedFile(5, 64 * "b")},
).sealed(PASSPHRASE)

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=9)
    | st.sampled_from([10**400, "2026-05-01", [[]] * 3]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["size", "name", "A", "keys/a.pem"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, above=()):
    """The ways to each value within a value."""
    yield above
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*above, key))


def put(value, place, instead):
    if not place:
        return instead
    inner = copy(value)
    inner[place[0]] = put(value[place[0]], place[1:], instead)
    return inner


@given(place=st.sampled_from(list(places(json.loads(SEALED)))), instead=ANYTHING)
@example(("contents", "settings"), [])
@example(("contents", "files"), [])
@example(("contents", "issuers"), {"name": 1})
@example(("contents", "files", "keys/issuer-1.pem", "size"), float("inf"))
@example(("contents", "files", "keys/issuer-1.pem", "size"), float("nan"))
@example(("hatchery backup",), [])
def test_a_mangled_manifest_is_read_or_refused_in_a_sentence(place, instead):
    mangled = json.dumps(put(json.loads(SEALED), place, instead)).encode()
    # Whatever else is raised is a traceback for who restores.
    with suppress(BackupRefused):
        assert isinstance(read(mangled).manifest, Manifest)


def test_an_archive_that_does_not_begin_with_its_manifest_is_refused(made, place):
    assert "does not begin with a manifest" in refused(altered(made, entry("keys/a.pem"), first=True), place)


def test_a_format_of_the_future_is_refused_as_such(made, place):
    envelope = json.dumps({"hatchery backup": FORMAT + 1}).encode()
    path = altered(made, entry(archive.MANIFEST, envelope), without=(archive.MANIFEST,), first=True)
    assert "newer version" in refused(path, place)


@pytest.mark.parametrize(
    "line",
    [
        f"PORTAL_KEY_PASSPHRASE={PASSPHRASE}",
        f'export PORTAL_KEY_PASSPHRASE="{PASSPHRASE}"',
        f"# PORTAL_KEY_PASSPHRASE={PASSPHRASE}",
        "# PORTAL_KEY_PASSPHRASE = an older one",
        f"ANOTHER_NAME={PASSPHRASE}",
    ],
)
def test_the_settings_are_kept_without_the_passphrase(line):
    kept = dot_env.without_passphrase(f"A=1\n{line}\nPORTAL_KEY_PASSPHRASE_FILE=/x\n", PASSPHRASE)
    before, comment, after = kept.splitlines()
    assert (before, after) == ("A=1", "PORTAL_KEY_PASSPHRASE_FILE=/x")
    assert comment.startswith("# PORTAL_KEY_PASSPHRASE was here")
