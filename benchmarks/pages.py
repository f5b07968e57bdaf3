"""How long the console's pages take: `python -m benchmarks.pages [--rounds N] [--limit MS]`.

Asks for every list, filter, search and kind of page of an installation that `benchmarks.seed` filled
(PORTAL_DATA_DIR, DATABASE_URL), as an administrator and in this process. Prints the number of queries, and
milliseconds; ends with 1 if the median of any page is over the limit. CPU is this process's, and with
SQLite the database's too; on a machine that is shared it is the steadier figure.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from typing import Any

_OWN = (
    "index",
    "pki_certificate_issue",
    "pki_inspect",
    "pki_device_register_many",
    "pki_device_add",
    "pki_profile_add",
    "pki_devicegroup_add",
    "auth_user_add",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each page is asked for (5)")
    parser.add_argument("--limit", type=float, default=300, help="milliseconds (300)")
    parser.add_argument("--sql", action="store_true", help="show the slowest query of a slow page")
    options = parser.parse_args()
    os.environ.setdefault("PORTAL_DATA_DIR", "var/seeded")
    os.environ.setdefault("DATABASE_URL", "")  # what .env names is in use
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"

    import django

    django.setup()
    sys.exit(1 if _measure(options.rounds, options.limit, options.sql) else 0)


class Queries:
    """Counts what a page asks the database, and keeps what took longest."""

    def __init__(self) -> None:
        self.number, self.longest, self.sql = 0, 0.0, ""

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            took = time.perf_counter() - started
            self.number += 1
            if took > self.longest:
                self.longest, self.sql = took, f"{sql} {params}"


def _measure(rounds: int, limit: float, with_sql: bool) -> int:
    """Print the table; how many pages were too slow or failed."""
    from django.contrib.auth.models import User
    from django.db import connection
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()  # lets a response tell what its template was given
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.filter(is_superuser=True).earliest("pk"))
    print(f"{'page':<80} {'status':>6} {'queries':>7} {'median ms':>9} {'max ms':>7} {'CPU ms':>7}")
    bad = 0
    for url in _urls(client):
        queries = Queries()
        with connection.execute_wrapper(queries):
            status = client.get(url, secure=True).status_code
        took, cpu = [], []
        for _ in range(rounds):
            started, used = time.perf_counter(), time.process_time()
            client.get(url, secure=True)
            took.append((time.perf_counter() - started) * 1000)
            cpu.append((time.process_time() - used) * 1000)
        median = statistics.median(took)
        wrong = median > limit or status >= 400
        bad += wrong
        print(
            f"{url[:80]:<80} {status:>6} {queries.number:>7} {median:>9.0f} {max(took):>7.0f} "
            f"{statistics.median(cpu):>7.0f}{'  <--' if wrong else ''}",
            flush=True,
        )
        if with_sql and wrong:
            print(f"    {queries.longest * 1000:.0f} ms: {queries.sql}")
    print(f"{bad} pages are over {limit:.0f} ms, or failed." if bad else "All pages are quick enough.")
    return bad


def _urls(client: Any) -> Iterator[str]:
    from django.contrib import admin
    from django.urls import NoReverseMatch, reverse

    for name in _OWN:
        try:
            yield reverse(f"admin:{name}")
        except NoReverseMatch:
            print(f"(there is no page {name})")
    for model in admin.site._registry:
        yield from _urls_of(client, model)
    yield from _of_revocation_lists()


def _urls_of(client: Any, model: Any) -> Iterator[str]:
    """A model's list, plain and by each filter and search, far down, and the pages of three rows."""
    from django.urls import NoReverseMatch, reverse

    from pki.admin.parts.paging import DEEPEST

    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    try:
        listed = reverse(f"{name}_changelist")
    except NoReverseMatch:
        return
    yield listed
    deep = [f"{listed}?p={number}" for number in (2, DEEPEST)]
    response = client.get(listed, secure=True)
    shown = (response.context or {}).get("cl") if response.status_code == 200 else None
    if shown is None:
        return
    yield from (url for url in deep if client.get(url, secure=True).status_code == 200)
    for spec in shown.filter_specs:
        links = [choice.get("query_string", "?") for choice in spec.choices(shown)]
        for link in dict.fromkeys(links):
            if link not in ("?", ""):
                yield f"{listed}{link}"
                deepest = f"{listed}{link}&p={DEEPEST}"
                if client.get(deepest, secure=True).status_code == 200:
                    yield deepest
    if shown.search_fields:
        yield from (f"{listed}?q={words}" for words in _searches())
    rows = model._default_manager.order_by("pk")
    for row in filter(None, (rows.first(), rows.last(), shown.result_list[0] if shown.result_list else None)):
        yield reverse(f"{name}_change", args=[row.pk])
    if row := rows.first():
        yield reverse(f"{name}_history", args=[row.pk])


def _of_revocation_lists() -> Iterator[str]:
    """What is asked before lists are published, and the revocations of one shard: the fullest."""
    from django.urls import reverse

    from pki.admin.parts.paging import DEEPEST
    from pki.models import FULL, Issuer, RevocationList

    shard = RevocationList.objects.exclude(shard=FULL).order_by("-entries").first()
    if shard is not None:
        listed = reverse("admin:pki_revocation_changelist")
        yield from (f"{listed}?list={shard.pk}{more}" for more in ("", f"&p={DEEPEST}", "&revoked=30d"))
        yield reverse("admin:pki_revocationlist_publish", args=[shard.pk])
    for issuer in Issuer.objects.all():
        yield reverse("admin:pki_issuer_change", args=[issuer.pk])
        yield reverse("admin:pki_issuer_publish", args=[issuer.pk])


def _searches() -> Iterator[str]:
    from pki.models import Certificate, Device, EnrollmentRequest

    device, certificate = Device.objects.latest("pk"), Certificate.objects.latest("pk")
    yield from ("d", "door-berlin", "nobody-has-this-name", "admin", "administrator:ada", "two+words", "%25")
    yield device.name
    yield f"{device.name}.example.net"
    yield certificate.serial
    yield certificate.serial[:6]
    yield str(int(certificate.serial, 16))
    yield certificate.fingerprint
    yield ":".join(certificate.fingerprint[i : i + 2] for i in range(0, 64, 2))
    request = EnrollmentRequest.objects.filter(address__isnull=False).first()
    if request is not None:
        yield str(request.address)
    yield "198.51.100"


if __name__ == "__main__":
    main()
