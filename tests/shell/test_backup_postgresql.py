"""Backups of a PostgreSQL database, by its own programs; tests.live.test_backup has the whole story."""

import os
import shutil

import pytest

from tests import tables
from tests.clients import needs
from tests.server import Server
from tests.shell.test_manage import sentence_of


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    needs("pg_dump", package="postgresql-client")
    with tables.on_postgresql() as cluster:
        made = Server(tmp_path_factory.mktemp("installation"), {"DATABASE_URL": cluster.url})
        assert made.manage("bootstrap", "--no-demo").returncode == 0
        yield made


def with_programs(installation, folder):
    """The installation, where only the programs in `folder` are found."""
    return Server(installation.data, {**installation.settings, "PATH": str(folder)})


def program(folder, name, says):
    path = folder / name
    path.write_text(f"#!{shutil.which('sh')}\n{says}\n")
    path.chmod(0o700)


def test_without_pg_dump_it_says_what_to_install(installation, tmp_path):
    failed = with_programs(installation, tmp_path).manage("backup", str(tmp_path / "b.tar.gz"))
    assert "pg_dump is not installed" in sentence_of(failed)
    assert list(tmp_path.iterdir()) == []


def test_a_pg_dump_that_is_older_than_the_server_is_named(installation, tmp_path):
    program(tmp_path, "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.24'")
    said = sentence_of(with_programs(installation, tmp_path).manage("backup", str(tmp_path / "b.tar.gz")))
    assert f"{tmp_path / 'pg_dump'} is 9, and the server is PostgreSQL 1" in said
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_pg_dump_that_fails_makes_no_backup_and_is_quoted(installation, tmp_path):
    program(
        tmp_path,
        "pg_dump",
        'test "$1" = --version && echo "pg_dump (PostgreSQL) 99.1" && exit\necho "no\nway" >&2; exit 1',
    )
    failed = with_programs(installation, tmp_path).manage("backup", str(tmp_path / "b.tar.gz"))
    assert "pg_dump failed: no way" in sentence_of(failed)
    assert not (tmp_path / "b.tar.gz").exists()


def test_a_database_that_has_tables_is_not_restored_into(installation, tmp_path):
    path = tmp_path / "b.tar.gz"
    assert installation.manage("backup", str(path)).returncode == 0
    elsewhere = Server(
        tmp_path / "new",
        {
            **installation.settings,
            "PORTAL_KEY_PASSPHRASE_FILE": str(installation.data / "secrets" / "key-passphrase"),
        },
    )
    said = sentence_of(elsewhere.manage("restore", str(path)))
    assert "has tables already" in said
    assert "createdb" in said
    assert not (elsewhere.data / "keys").exists()


def test_it_is_not_restored_into_another_kind_of_database(installation, tmp_path):
    path = tmp_path / "b.tar.gz"
    assert installation.manage("backup", str(path)).returncode == 0
    elsewhere = Server(
        tmp_path / "new",
        {
            "DATABASE_URL": f"sqlite:///{tmp_path / 'new' / 'db.sqlite3'}",
            "PORTAL_KEY_PASSPHRASE_FILE": str(installation.data / "secrets" / "key-passphrase"),
        },
    )
    assert "restore into the same kind" in sentence_of(elsewhere.manage("restore", str(path)))


def test_the_password_of_the_database_is_on_no_command_line(installation, tmp_path):
    (tmp_path / "programs").mkdir()
    seen = tmp_path / "seen"
    program(
        tmp_path / "programs",
        "pg_dump",
        'test "$1" = --version && echo "pg_dump (PostgreSQL) 99.1" && exit\n'
        f'echo "$@" > {seen}\necho "$PGPASSWORD" >> {seen}\nexit 1',
    )
    url = installation.settings["DATABASE_URL"].replace("hatchery@", "hatchery:a-secret@", 1)
    server = Server(
        installation.data,
        {"DATABASE_URL": url, "PATH": f"{tmp_path / 'programs'}{os.pathsep}{os.environ['PATH']}"},
    )
    said = sentence_of(server.manage("backup", str(tmp_path / "b.tar.gz")))
    words, password = seen.read_text().splitlines()
    assert ("a-secret" in words, password, "a-secret" in said) == (False, "a-secret", False)
