"""Turning pages: a list knows its neighbours, counts nothing, and answers for pages that it does not have."""

import pytest
from django.core.paginator import EmptyPage, InvalidPage
from django.db import connection
from django.test.utils import CaptureQueriesContext

from pki.admin.parts.paging import DEEPEST, InfinitePaginator
from pki.models import Device, Label
from tests.console.browser import changelist
from tests.services.cast import registered


def paginator(rows: int, per_page: int = 2) -> InfinitePaginator:
    made = Label.objects.bulk_create(Label(name=f"label-{number:04d}") for number in range(rows))
    assert len(made) == rows
    return InfinitePaginator(Label.objects.order_by("name"), per_page)


def numbers(page) -> list[int]:
    return [int(label.name.removeprefix("label-")) for label in page.object_list]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "number", "shown", "more"),
    [
        (0, 1, [], False),
        (1, 1, [0], False),
        (2, 1, [0, 1], False),
        (3, 1, [0, 1], True),
        (3, 2, [2], False),
        (4, 2, [2, 3], False),
        (5, 2, [2, 3], True),
    ],
)
def test_a_page_shows_its_rows_and_knows_whether_there_are_more(rows, number, shown, more):
    pages = paginator(rows)
    assert numbers(pages.page(number)) == shown
    assert pages.more is more


@pytest.mark.django_db
def test_a_page_reads_one_row_more_than_it_shows_and_no_other():
    pages = paginator(100, per_page=10)
    with CaptureQueriesContext(connection) as queries:
        pages.page(3)
    keys, rows = (each["sql"] for each in queries.captured_queries)
    assert "LIMIT 11 OFFSET 20" in keys
    assert '"name"' not in keys.partition(" FROM ")[0]
    assert len(rows.partition(" IN (")[2].split(",")) == 11


def test_a_page_joins_what_its_list_joins(ca, now):
    registered("door-1", now)
    listed = Device.objects.select_related("profile").prefetch_related("groups").defer("sans")
    (device,) = InfinitePaginator(listed.order_by("-pk"), 2).page(1).object_list
    with CaptureQueriesContext(connection) as queries:
        assert device.profile.name == "device"
        assert list(device.groups.all()) == []
    assert not queries.captured_queries
    assert device.get_deferred_fields() == {"sans"}


@pytest.mark.django_db
def test_the_deepest_page_is_shown_and_says_that_there_is_more():
    pages = paginator(DEEPEST * 2 + 1)
    assert numbers(pages.page(DEEPEST)) == [DEEPEST * 2 - 2, DEEPEST * 2 - 1]
    assert pages.too_deep


@pytest.mark.django_db
def test_the_deepest_page_of_a_list_that_ends_there_does_not():
    pages = paginator(DEEPEST * 2)
    pages.page(DEEPEST)
    assert not pages.too_deep


@pytest.mark.django_db
@pytest.mark.parametrize("number", [0, -1, DEEPEST + 1, 10**30, "2", None])
def test_there_is_no_page_before_the_first_or_below_the_deepest(number):
    with pytest.raises(InvalidPage):
        paginator(5).page(number)


@pytest.mark.django_db
def test_there_is_no_page_after_the_last():
    with pytest.raises(EmptyPage):
        paginator(3).page(3)


# --- In the console -------------------------------------------------------------------------------


@pytest.fixture
def devices(ca, now):
    return [registered(f"door-{number:03d}", now) for number in range(51)]


def test_the_pages_of_a_list_lead_to_each_other(ada, devices):
    first, second = (ada.get(changelist(type(devices[0])), p=number) for number in (1, 2))
    assert 'rel="next"' in first.content.decode()
    assert 'rel="prev"' not in first.content.decode()
    assert 'rel="prev"' in second.content.decode()
    assert 'rel="next"' not in second.content.decode()
    shown = [*first.context["cl"].result_list, *second.context["cl"].result_list]
    assert shown == devices[::-1]


@pytest.mark.parametrize("number", ["3", "0", "-1", "201", "9" * 40])
def test_a_page_that_is_not_there_leads_back_to_the_list(ada, devices, number):
    model = type(devices[0])
    response = ada.get(changelist(model), p=number)
    assert response.status_code == 302
    back = ada.get(response["Location"])
    assert back.status_code == 200
    assert len(back.context["cl"].result_list) == 50


@pytest.mark.parametrize("number", ["", "abc", "1.5", "²"])
def test_a_page_that_is_no_number_is_the_first(ada, devices, number):
    response = ada.get(changelist(type(devices[0])), p=number)
    assert response.status_code == 200
    assert response.context["cl"].result_list[0] == devices[-1]
