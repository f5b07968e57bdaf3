"""A lookup that finds text by its beginning, with the index, on both databases."""

from typing import Any

from django.db.models import CharField
from django.db.models.lookups import StartsWith

_HIGHEST = "\U0010ffff"


@CharField.register_lookup
class Begins(StartsWith):
    """`name__begins="door-"`: as `startswith`.

    Django writes that as LIKE with an ESCAPE, for which SQLite reads the whole table. The same as a range
    is one look into the index. PostgreSQL has an index for LIKE already.
    """

    lookup_name = "begins"

    def as_sqlite(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        column, parameters = self.process_lhs(compiler, connection)
        beginning = str(self.rhs)
        return f"({column} >= %s AND {column} < %s)", [
            *parameters,
            beginning,
            *parameters,
            beginning + _HIGHEST,
        ]

    def get_rhs_op(self, connection: Any, rhs: str) -> str:
        # Elsewhere the operator is that of `startswith`; Django looks it up by the lookup's name.
        operator: str = connection.operators[StartsWith.lookup_name]
        return operator % rhs
