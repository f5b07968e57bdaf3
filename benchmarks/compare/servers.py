"""Who is compared, by the name that `--servers` takes, in the order of the tables.

A program that is not installed is `served.Missing`, and left out.
"""

from benchmarks.alternatives import cfssl, django_ca, nginx, plain_go, step_ca
from benchmarks.compare import hatchery
from benchmarks.compare.served import Starts

# Hatchery itself; these can begin with what was seeded.
OWN = {"sqlite": hatchery.on_sqlite, "postgresql": hatchery.on_postgresql}
SERVERS: dict[str, Starts] = {
    **OWN,
    "go": plain_go.serve,
    "nginx": nginx.without_tickets,
    "nginx-tickets": nginx.with_tickets,
    "cfssl": cfssl.without_database,
    "cfssl-sqlite": cfssl.with_database,
    "step-ca": step_ca.without_database,
    "step-ca-badger": step_ca.with_database,
    "django-ca": django_ca.with_default_hashing,
    "django-ca-md5": django_ca.with_cheap_hashing,
}
