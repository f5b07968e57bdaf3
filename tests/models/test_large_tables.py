"""Migrations that come later lock no large table for as long as it is large."""

import pytest
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from pki.models import large_tables
from pki.models.large_tables import AddConstraintUnproven, AddIndexWhileServing, ProveConstraint, offences

BEFORE_THE_RULE = 24
INDEX = models.Index(fields=["not_before"], name="a_new_index")
CHECK = models.CheckConstraint(condition=models.Q(serial__gt=""), name="a_new_check")
NULLABLE = models.TextField(null=True)
# Of these there are few for good, or they are forgotten after a while.
SMALL = {
    "auditchain",
    "auditsigner",
    "bundlesignature",
    "bundlesigner",
    "campaign",
    "crosscertificate",
    "devicegroup",
    "expirymark",
    "failurecount",
    "formanswered",
    "issuer",
    "label",
    "loginkey",
    "noticemark",
    "profile",
    "responder",
    "revocationlist",
    "stalelist",
    "standbykey",
    "tally",
    "tallymark",
    "taskrun",
    "trustbundle",
    "webhook",
}


def made_of(*operations, atomic=True):
    migration = migrations.Migration("0099_later", "pki")
    migration.operations, migration.atomic = list(operations), atomic
    return migration


def nothing(apps, editor):
    pass


def loader():
    return MigrationLoader(None)


def test_no_later_migration_locks_a_large_table():
    later = [
        migration
        for (app, name), migration in loader().disk_migrations.items()
        if app == "pki" and int(name[:4]) > BEFORE_THE_RULE
    ]
    assert {migration.name: found for migration in later if (found := list(offences(migration)))} == {}


def test_of_every_table_it_is_said_whether_it_can_be_large():
    """Whoever adds a model decides. A table that joins two is changed by the field of the one that has it."""
    there = {name for app, name in loader().project_state().models if app == "pki"}
    assert there == large_tables.LARGE ^ SMALL, (
        "a new model is in LARGE, or in SMALL above, and in one of them"
    )


WRONG = {
    "an index": (migrations.AddIndex("Certificate", INDEX), "AddIndexWhileServing"),
    "a constraint": (migrations.AddConstraint("certificate", CHECK), "AddConstraintUnproven"),
    "another column": (migrations.AlterField("certificate", "serial", NULLABLE), "may write every row"),
    "a column with a default": (
        migrations.AddField("device", "colour", models.TextField(default="")),
        "db_default",
    ),
    "a column with an index": (
        migrations.AddField("device", "colour", models.TextField(null=True, db_index=True)),
        "makes an index",
    ),
    "a column that is unique": (
        migrations.AddField("device", "colour", models.TextField(null=True, unique=True)),
        "makes an index",
    ),
    "gently, but in a transaction": (AddIndexWhileServing("certificate", INDEX), "atomic = False"),
}


@pytest.mark.parametrize("name", ["AuditSeal", "AuditCheckpoint", "ExpiryWarning"])
def test_what_has_a_row_an_event_or_a_certificate_is_large_too(name):
    assert len(list(offences(made_of(migrations.AddIndex(name, INDEX))))) == 1
    assert len(list(offences(made_of(migrations.AlterField(name, "days", NULLABLE))))) == 1


@pytest.mark.parametrize(("operation", "instead"), WRONG.values(), ids=WRONG)
def test_what_locks_a_large_table_is_found_with_what_to_do_instead(operation, instead):
    (found,) = offences(made_of(operation))
    assert instead in found


def test_rows_are_changed_in_a_migration_of_their_own():
    change, column = migrations.RunPython(nothing), migrations.AddField("device", "colour", NULLABLE)
    assert list(offences(made_of(change))) == []
    (found,) = offences(made_of(column, change))
    assert "of its own" in found


RIGHT = {
    "a column that may be empty": made_of(migrations.AddField("device", "colour", NULLABLE)),
    "a column with a default in the database": made_of(
        migrations.AddField("device", "colour", models.TextField(db_default=""))
    ),
    "an index of a small table": made_of(migrations.AddIndex("profile", INDEX)),
    "an index, gently": made_of(AddIndexWhileServing("certificate", INDEX), atomic=False),
    "an index of a table that it makes": made_of(
        migrations.CreateModel("Device", [("id", models.BigAutoField(primary_key=True))]),
        migrations.AddIndex("device", INDEX),
    ),
}


@pytest.mark.parametrize("migration", RIGHT.values(), ids=RIGHT)
def test_what_locks_nothing_for_long_is_let_be(migration):
    assert list(offences(migration)) == []


def indexes_and_checks():
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, "pki_certificate"))


@pytest.mark.django_db(transaction=True)
def test_index_and_constraint_are_made_on_this_engine_also_after_a_kill_and_go_again():
    state = MigrationExecutor(connection).loader.project_state()
    migration = made_of(
        AddIndexWhileServing("certificate", INDEX),
        AddConstraintUnproven("certificate", CHECK),
        ProveConstraint("certificate", CHECK.name),
        atomic=False,
    )
    for _ in ("killed before it was noted as done", "once more"):
        with connection.schema_editor(atomic=False) as editor:
            migration.apply(state.clone(), editor)
    assert {INDEX.name, CHECK.name} <= indexes_and_checks()
    with connection.schema_editor(atomic=False) as editor:
        certificate = state.apps.get_model("pki", "Certificate")
        editor.remove_index(certificate, INDEX)
        editor.remove_constraint(certificate, CHECK)
    assert not {INDEX.name, CHECK.name} & indexes_and_checks()
