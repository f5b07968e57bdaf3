"""Tables that have a row a device, a certificate or an event, and what migrations do to them without locks.

What is new is made beside reads and writes on PostgreSQL; SQLite, which is for one node, has the usual. A
migration with these operations is `atomic = False` and has no others. One that was killed is begun anew, so
each clears away what it may have left.
"""

from collections.abc import Iterator

from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    ValidateConstraint,
)
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import AddConstraint, AddIndex, Migration, RunPython, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.operations.fields import AlterField, RemoveField
from django.db.migrations.operations.models import CreateModel
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED
from django.db.transaction import atomic

from pki.models.lock_waits import without_end

LARGE = frozenset(
    (
        "auditcheckpoint",
        "auditevent",
        "auditseal",
        "campaignmember",
        "certificate",
        "delivery",
        "device",
        "enrollmentrequest",
        "enrollmenttoken",
        "expirywarning",
        "lastseen",
        "notice",
        "renewal",
        "revocation",
        "revokedserial",
        "subjectaltname",
    )
)


class AddIndexWhileServing(AddIndexConcurrently):
    """An index that is made while others read and write."""

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, old: ProjectState, new: ProjectState
    ) -> None:
        name = editor.quote_name(self.index.name)
        if editor.connection.vendor == "postgresql":
            with without_end(editor.connection):
                # Half of one is kept as an invalid index.
                editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
                super().database_forwards(app_label, editor, old, new)
        else:
            editor.execute(f"DROP INDEX IF EXISTS {name}")
            AddIndex.database_forwards(self, app_label, editor, old, new)


class AddConstraintUnproven(AddConstraintNotValid):
    """A check that new rows must meet; what is there is asked by a later `ProveConstraint`."""

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, old: ProjectState, new: ProjectState
    ) -> None:
        if editor.connection.vendor == "postgresql":
            table = editor.quote_name(old.apps.get_model(app_label, self.model_name)._meta.db_table)
            name = editor.quote_name(self.constraint.name)
            editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
            super().database_forwards(app_label, editor, old, new)
        else:
            # It makes the table anew, and for a moment there is none.
            with atomic(editor.connection.alias):
                AddConstraint.database_forwards(self, app_label, editor, old, new)


class ProveConstraint(ValidateConstraint):
    """Ask of every row what `AddConstraintUnproven` left out, while others read and write."""

    def database_forwards(
        self, app_label: str, editor: BaseDatabaseSchemaEditor, old: ProjectState, new: ProjectState
    ) -> None:
        if editor.connection.vendor == "postgresql":
            with without_end(editor.connection):
                super().database_forwards(app_label, editor, old, new)


def offences(migration: Migration) -> Iterator[str]:
    """What a migration does that locks a large table for as long as that is large, in words."""
    made = {operation.name_lower for operation in migration.operations if isinstance(operation, CreateModel)}
    gentle = (AddIndexWhileServing, AddConstraintUnproven, ProveConstraint)
    for operation in migration.operations:
        model = str(getattr(operation, "model_name", "")).lower()
        if isinstance(operation, gentle):
            if migration.atomic:
                yield f"{operation.describe()}: in a transaction, which keeps its locks; set atomic = False"
        elif model in LARGE - made and (what := _what_locks(operation)):
            yield f"{operation.describe()}: {what}"
    rows = [each for each in migration.operations if isinstance(each, RunPython | RunSQL)]
    if rows and len(rows) < len(migration.operations):
        yield f"{rows[0].describe()}: changes rows beside tables; do it in a migration of its own"


def _what_locks(operation: Operation) -> str:
    if isinstance(operation, AddIndex):
        return "writes wait until it is made; use AddIndexWhileServing"
    if isinstance(operation, AddConstraint):
        return "reads every row under a lock; use AddConstraintUnproven, and ProveConstraint later"
    if isinstance(operation, AlterField):
        return "may write every row; add a column, and fill it in batches"
    if isinstance(operation, RemoveField):
        return ""  # PostgreSQL only forgets it
    field = getattr(operation, "field", None)
    if field is not None and not (field.null or field.db_default is not NOT_PROVIDED):
        return "writes a default once and forgets it; let the column be nullable, or give it a db_default"
    if field is not None and (field.unique or field.db_index):
        return "makes an index under a lock; add the column alone, and use AddIndexWhileServing"
    return ""
