"""No page runs a query for each row, and none reads a whole table, however many rows there are."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from pki.models import (
    Certificate,
    DeviceGroup,
    Issuer,
    LoginKey,
    Profile,
    Responder,
    Revocation,
    RevocationList,
    StaleList,
)
from pki.services.auditing import sealing
from pki.services.enrolling import refusals, tokens
from pki.services.enrolling.refusals import Attempt
from pki.services.fleet import devices
from pki.services.issuing import profiles
from pki.services.publishing import revocation_lists
from pki.services.revoking import revocation
from tests import snapshots
from tests.console.browser import changelist, page, registered_models
from tests.services.cast import DAY, TESTER, issue, registered
from tests.upkeep import bundled, given_up, led, renewed

FEW, MANY = 3, 60
# These grow with every device; the others are as many as an administrator makes by hand.
LARGE = (
    "pki_auditcheckpoint",
    "pki_auditevent",
    "pki_auditseal",
    "pki_campaignmember",
    "pki_certificate",
    "pki_delivery",
    "pki_device",
    "pki_device_groups",
    "pki_device_labels",
    "pki_enrollmentrequest",
    "pki_enrollmenttoken",
    "pki_expirywarning",
    "pki_lastseen",
    "pki_notice",
    "pki_renewal",
    "pki_revocation",
    "pki_subjectaltname",
)
# No index says which devices were never seen. Mostly they are the newest: the list is walked from there.
WALKED = "?seen=never"
_ASKED: dict[str, list[str]] = {}
in_one_process = pytest.mark.xdist_group("each page's SQL")
MODELS = registered_models()
of_each_model = pytest.mark.parametrize("model", MODELS, ids=[model.__name__ for model in MODELS])


def fill(first: int, last: int, now) -> None:
    """One more of everything that has a list, for each number."""
    profile = Profile.objects.select_related("issuer").get(name=devices.DEFAULT_PROFILE)
    for number in range(first, last):
        device = registered(f"door-{number}", now)
        before = issue(device, now)
        revocation.revoke([before], Revocation.Reason.SUPERSEDED, TESTER, now)
        renewed(before, issue(device, now), now)
        tokens.make(TESTER, now, profile, device=device)
        refusals.keep(Attempt(f"192.0.2.{number}", name=f"lamp-{number}"), tokens.TokenInvalid(), now)
        user = User.objects.create_user(f"user-{number}", is_staff=True)
        LoginKey.objects.create(user=user, spki_sha256=f"{number:064x}", name="laptop", created_at=now)
        DeviceGroup.objects.create(name=f"site-{number}").devices.add(device)
        Group.objects.create(name=f"role-{number}")
        open_lists(profile.issuer, number + 2, number + 3, now)
        give_responder(profile.issuer, number, now)
        led(device, now)
        given_up(now, f"pager-{number}")
        bundled(now, number + 1)
        extra = Profile(name=f"profile-{number}", issuer=profile.issuer, extended_key_usages=["clientAuth"])
        profiles.save(extra, [], TESTER, now)
        sealing.seal(now)


@pytest.fixture(autouse=True)
def _old_rows_do(monkeypatch):
    """How many questions are asked does not change by the minute, and to fill the tables takes long."""
    monkeypatch.setattr(snapshots, "FRESH_FOR", timedelta(minutes=5))


@pytest.fixture
def filled(ca, now):
    """A few rows of everything."""
    snapshots.made("few", ca, now, lambda: fill(0, FEW, now), on="ca")


@pytest.fixture
def fill_up(ca, filled, ada, now):
    """Makes many of the few."""
    return lambda: snapshots.made("many", ca, now, lambda: fill(FEW, MANY, now), on="few")


def open_lists(issuer, first: int, last: int, now) -> None:
    """Shards of an issuer's revocation list, signed, all of them waiting to be signed anew."""
    shared = {"number": 1, "der": b"not read", "this_update": now, "next_update": now + DAY, "opened_at": now}
    RevocationList.objects.bulk_create(
        RevocationList(
            issuer=issuer, shard=shard, url=revocation_lists.url(issuer, shard), renew_at=now + DAY, **shared
        )
        for shard in range(first, last)
    )
    StaleList.objects.bulk_create(
        StaleList(issuer=issuer, shard=shard, at=now) for shard in range(first, last)
    )


def give_responder(issuer, number: int, now) -> None:
    Responder.objects.create(
        issuer=issuer,
        key_reference=f"file:ocsp-{number}",
        serial=f"{number + 1:x}",
        not_before=now,
        not_after=now + DAY,
        created_at=now,
        certificate_der=issuer.certificate_der,
    )


def asked(browser, url: str, **query: str) -> list[str]:
    """The SQL of a page."""
    browser.get(url, **query)  # once before: what is cached for ever does not count
    return asked_first(browser, url, **query)


def asked_first(browser, url: str, **query: str) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        response = browser.get(url, **query)
    assert response.status_code == 200, url
    return [each["sql"] for each in queries.captured_queries]


def asked_by_each(browser) -> dict[str, list[str]]:
    """The SQL of each page, by its address; asked once for all tests, for it takes long."""
    if not _ASKED:
        _ASKED.update((url, asked_first(browser, url)) for url in dict.fromkeys(urls(browser)))
    return _ASKED


def same_but_for_values(sql: list[str]) -> list[str]:
    return sorted(re.sub(r"'[^']*'|\b\d+\b", "?", each) for each in sql)


@of_each_model
def test_a_list_asks_as_much_for_many_rows_as_for_few(ada, fill_up, model):
    few = asked(ada, changelist(model))
    fill_up()
    many = asked(ada, changelist(model))
    assert len(many) == len(few), "\n".join(same_but_for_values(many))
    assert few, "it asks something"


@of_each_model
def test_the_page_of_a_row_asks_as_much_among_many_rows_as_among_few(ada, fill_up, model):
    row = model.objects.order_by("-pk").first()
    few = asked(ada, page(row))
    fill_up()
    assert len(asked(ada, page(row))) == len(few)


def test_pages_ask_as_much_for_a_thousand_shards_as_for_three_and_read_the_bytes_of_none(ada, filled, now):
    issuer = Issuer.objects.get(parent__isnull=False)
    row = RevocationList.objects.get(issuer=issuer, shard=FEW)
    pages = [
        reverse("admin:index"),
        page(issuer),
        page(Certificate.objects.filter(revocation__isnull=False).latest("pk")),
        page(row),
        changelist(RevocationList),
        *(f"{changelist(RevocationList)}?{query}" for query in ("kind=shard", "overdue=yes", "q=Issuing")),
    ]
    few = {url: asked(ada, url) for url in pages}
    open_lists(issuer, 100, 1_100, now)
    for url in pages:
        many = asked(ada, url)
        assert len(many) == len(few[url]), url
        read = [sql for sql in many if re.search(r'"pki_revocationlist"\."(der|base_der|delta_der)"', sql)]
        assert not read, url


def test_the_dashboard_asks_as_much_for_many_rows_as_for_few(ada, fill_up):
    few = asked(ada, reverse("admin:index"))
    fill_up()
    assert len(asked(ada, reverse("admin:index"))) == len(few)


# --- What is asked --------------------------------------------------------------------------------


def urls(browser):
    """Every list, by each filter and with a search, and the dashboard."""
    yield reverse("admin:index")
    for model in MODELS:
        shown = browser.get(changelist(model)).context["cl"]
        yield changelist(model)
        for spec in shown.filter_specs:
            for choice in spec.choices(shown):
                yield f"{changelist(model)}{choice['query_string']}"
        if shown.search_fields:
            yield from (f"{changelist(model)}?q={words}" for words in ("door-1", "abc", "192.0.2.1"))
        yield from map(page, model.objects.all()[:1])


def counts_without_a_bound(sql: str) -> bool:
    """Whether a query counts, and neither the rows of a subquery that ends with a LIMIT nor the members of
    campaigns: those are counted in their index, a device being in one living campaign at most.
    """
    if re.search(r'FROM "pki_campaignmember" .*WHERE .*"pki_campaignmember"\."campaign_id" (=|IN)', sql):
        return False
    return "COUNT(" in sql and re.search(r"(FROM|IN) \(SELECT .* LIMIT \d+\)", sql) is None


@in_one_process
def test_no_page_counts_a_table_or_looks_for_different_values_in_a_large_one(ada, filled):
    seen = 0
    for url, statements in asked_by_each(ada).items():
        for sql in statements:
            seen += 1
            assert not counts_without_a_bound(sql), (url, sql)
            if "DISTINCT" in sql:
                assert not [table for table in LARGE if f'"{table}"' in sql], (url, sql)
    assert seen > 100


@pytest.mark.parametrize(
    ("sql", "whole"),
    [
        ('SELECT COUNT(*) AS "__count" FROM "pki_device"', True),
        ('SELECT COUNT(*) FROM "pki_device" WHERE "state" = 1', True),
        ('SELECT COUNT(*) FROM (SELECT "id" FROM "pki_device" LIMIT 10001) subquery', False),
        ('SELECT "id" FROM "pki_device" LIMIT 51', False),
        ('SELECT COUNT(*) FROM "pki_campaignmember" WHERE "pki_campaignmember"."state" = 1', True),
        ('SELECT COUNT(*) FROM "pki_campaignmember" WHERE "pki_campaignmember"."campaign_id" = 1', False),
    ],
)
def test_a_count_of_a_whole_table_would_be_seen(sql, whole):
    assert counts_without_a_bound(sql) is whole


@in_one_process
@pytest.mark.skipif("connection.vendor != 'sqlite'")
def test_no_list_reads_or_sorts_a_whole_table(ada, filled):
    """By SQLite's own plan: a large table is searched by an index, or walked in an index's order."""
    bad = []
    for url, statements in asked_by_each(ada).items():
        for sql in statements:
            if sql.startswith("SELECT") and not url.endswith(WALKED):
                bad += [(url, step, sql) for step in plan(sql) if reads_all(step, sql)]
    assert not bad, "\n".join(f"{url}\n  {step}\n  {sql}" for url, step, sql in bad)


def plan(sql: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN " + sql.replace("%", "%%"))
        return [row[3] for row in cursor.fetchall()]


def partial_indexes() -> set[str]:
    """Names of the indexes that hold only the rows that are asked for."""
    return {
        index.name
        for model in apps.get_app_config("pki").get_models()
        for index in model._meta.indexes
        if index.condition is not None
    }


def reads_all(step: str, sql: str) -> bool:
    """Whether a step of SQLite's plan reads a large table from its beginning to its end."""
    match = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
    if match is None or match[1] not in LARGE or match[2] in partial_indexes():
        return False
    # Walked in the list's own order and left at the LIMIT, it is read no further than it is shown; unless
    # most of its rows are passed over.
    walked = "LIMIT" in sql and "USE TEMP B-TREE FOR ORDER BY" not in plan(sql)
    conditions = re.sub(
        r'"\w+"\."\w+" IS NOT NULL', "", sql.partition(" WHERE ")[2].partition(" ORDER BY ")[0]
    )
    return not walked or conditions.strip("( )") != ""
