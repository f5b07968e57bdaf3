"""Django's backend for SQLite, which here translates each statement once."""
