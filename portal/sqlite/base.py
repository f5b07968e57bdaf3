"""The module in which Django looks for the backend that the setting ENGINE names."""

from functools import lru_cache, partial
from typing import Any

from django.db.backends.sqlite3 import base

# Characters of a statement whose translation is kept. Those with thousands of values seldom come again.
_LONGEST_KEPT = 8_192
_django: Any = base.SQLiteCursorWrapper  # whose translation asks nothing of the cursor
_translated = lru_cache(maxsize=512)(partial(_django.convert_query, None))


class Cursor(base.SQLiteCursorWrapper):
    """Keeps what a statement with Django's `%s` is with SQLite's `?`.

    Django looks for them anew each time that it is run, which was a twelfth of an enrollment's instructions.
    """

    def convert_query(self, query: str, *, param_names: list[str] | None = None) -> str:
        translate = super().convert_query
        if param_names is None and len(query) <= _LONGEST_KEPT:
            translate = _translated
        made: str = translate(query, param_names=param_names)
        return made


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of Django's to SQLite, with these cursors."""

    def create_cursor(self, name: Any = None) -> Cursor:
        cursor: Cursor = self.connection.cursor(factory=Cursor)
        return cursor
