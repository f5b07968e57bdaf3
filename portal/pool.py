"""Database connections that a worker's threads share, if PORTAL_DATABASE_POOL says how many there may be.

Without it each thread keeps one, which is quicker. The pool is psycopg's, by Django; a worker makes it after
the fork, because neither connections nor the pool's own threads outlive one.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import close_old_connections, connection, connections

from pki.services.measuring import counted

# For a connection, before the request is refused as unavailable, and between tries to reach the database:
# the pool's own pauses would grow to minutes while PostgreSQL is away. Less than a handshake may take, so
# that its client is told.
PATIENCE = 4.0  # seconds
LOOK_PATIENCE = 2  # seconds for a connection apart; less than load balancers wait for /readyz


def begin() -> None:
    """Have this process share connections from now on."""
    if not settings.PORTAL_DATABASE_POOL:
        return
    database = connections.settings["default"]
    database["CONN_MAX_AGE"] = 0  # Django's word for giving it back
    database["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": settings.PORTAL_DATABASE_POOL,
        "timeout": PATIENCE,
        "reconnect_timeout": PATIENCE,
    }


def apart() -> None:
    """Keep this thread out of the pool: what it looks at is whether the database is there, and a pool that is
    busy would say that it is not.
    """
    if not settings.PORTAL_DATABASE_POOL:
        return
    own = connections["default"].copy()
    del own.settings_dict["OPTIONS"]["pool"]
    own.settings_dict["OPTIONS"].setdefault("connect_timeout", LOOK_PATIENCE)
    connections["default"] = own


def giving_back(what: Callable[..., Any], *words: Any) -> Any:
    """Call `what` without connections that have failed, and give back the one that this thread took for it.

    The console's requests do the first themselves as well, by Django's signals; all others, handshakes and
    housekeeping rely on this.
    """
    close_old_connections()
    try:
        return what(*words)
    finally:
        if settings.PORTAL_DATABASE_POOL:
            # A thread that waits for its next turn would keep it from those that have one.
            connections.close_all()


def measure() -> None:
    """Tell what the pool of this process has, and what became of it since the last time."""
    if not settings.PORTAL_DATABASE_POOL:
        return
    seen = connection.pool.pop_stats()  # type: ignore[attr-defined]  # PostgreSQL's
    counted.DATABASE_OPENED.count(by=seen.get("connections_num", 0))
    counted.POOL_TIMEOUTS.count(by=seen.get("requests_errors", 0))
    counted.POOL_WAITING.put(seen["requests_waiting"])
    counted.POOL_LIMIT.put(seen["pool_max"])
    counted.POOL_CONNECTIONS.put(seen["pool_size"])
    counted.POOL_IN_USE.put(max(seen["pool_size"] - seen["pool_available"], 0))


def end() -> None:
    """Close what is left: the process stops."""
    connections.close_all()
    if settings.PORTAL_DATABASE_POOL:
        connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's
