"""Django's backend for PostgreSQL, which here plans hot statements once and asks less whether it lives."""
