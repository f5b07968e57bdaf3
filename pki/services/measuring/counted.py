"""All that is counted. None has a label for a device, an address or anything else that clients make up."""

from pki.services.measuring.families import Counter, Gauge, Timing

REQUESTS = Counter(
    "hatchery_requests",
    "Requests that were answered, by the class of their status (2xx, 4xx, ...).",
    ("listener", "endpoint", "status"),
)
SECONDS = Timing(
    "hatchery_request_duration_seconds",
    "From a request that is whole until its answer is made, in seconds; waiting for a thread counts.",
    ("listener", "endpoint"),
)
REFUSALS = Counter(
    "hatchery_refusals", "Requests that were answered with a problem (RFC 9457), by its code.", ("code",)
)
REQUEST, ANSWER = "request", "answer"
CUT_OFF = Counter(
    "hatchery_connections_cut_off",
    "Connections that were ended because the client did not send its request, or take its answer, in time.",
    ("listener", "late"),
)
HANDSHAKES = Counter("hatchery_handshakes", "TLS handshakes that came to a connection.", ("listener",))
FAILED_HANDSHAKES = Counter(
    "hatchery_handshake_failures",
    "TLS handshakes that did not, and clients that a proxy forwarded and that were turned away.",
    ("listener", "reason"),
)
EVENTS = Counter(
    "hatchery_audit_events",
    "Events that this server added to the audit trail; certificate.issued and certificate.revoked are two.",
    ("kind",),
)
MAINTENANCE_FAILURES = Counter(
    "hatchery_maintenance_failures", "Tasks of maintenance that failed at this server.", ("task",)
)
STARTS = Counter("hatchery_worker_starts", "Worker processes that were started.")
WORKERS = Gauge("hatchery_workers", "Worker processes that serve.")
THREADS = Gauge("hatchery_threads", "Threads that answer requests, of all workers.")
IN_HAND = Gauge(
    "hatchery_requests_in_hand",
    "Handshakes and requests that a thread has or that wait for one; more than threads: they wait.",
)
CONNECTIONS = Gauge("hatchery_client_connections", "Connections of clients that are open.")
MOST_CONNECTIONS = Gauge("hatchery_client_connections_limit", "As many of them as may be open at once.")
DATABASE_OPENED = Counter(
    "hatchery_database_connections_opened", "Connections to the database that were opened."
)
POOL_LIMIT = Gauge(
    "hatchery_database_pool_limit", "Connections that the workers' pools may have; 0 without pools."
)
POOL_CONNECTIONS = Gauge("hatchery_database_pool_connections", "Connections that the workers' pools have.")
POOL_IN_USE = Gauge("hatchery_database_pool_in_use", "Those of them that a thread has.")
POOL_WAITING = Gauge("hatchery_database_pool_waiting", "Threads that wait for a connection of their pool.")
POOL_TIMEOUTS = Counter("hatchery_database_pool_timeouts", "Threads that waited for one in vain.")
