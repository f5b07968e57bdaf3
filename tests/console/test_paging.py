"""Turning pages: a list knows its neighbours, counts nothing, and answers for pages that it does not have."""

import pytest
from django.core.paginator import EmptyPage, InvalidPage

from pki.admin.parts.paging import DEEPEST, InfinitePaginator
from tests.console.browser import changelist
from tests.services.cast import registered


class Counted(list):
    """Rows that say which of them were asked for, and cannot be counted."""

    def __getitem__(self, asked):
        self.asked = asked
        return super().__getitem__(asked)

    def count(self, *_):
        raise AssertionError("The table was counted.")


def paginator(rows: int, per_page: int = 2) -> InfinitePaginator:
    return InfinitePaginator(Counted(range(rows)), per_page)


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
    assert list(pages.page(number).object_list) == shown
    assert pages.more is more


def test_a_page_reads_one_row_more_than_it_shows_and_no_other():
    pages = paginator(100, per_page=10)
    pages.page(3)
    assert pages.object_list.asked == slice(20, 31)


def test_the_deepest_page_is_shown_and_says_that_there_is_more():
    pages = paginator(DEEPEST * 2 + 1)
    assert list(pages.page(DEEPEST).object_list) == [DEEPEST * 2 - 2, DEEPEST * 2 - 1]
    assert pages.too_deep


def test_the_deepest_page_of_a_list_that_ends_there_does_not():
    pages = paginator(DEEPEST * 2)
    pages.page(DEEPEST)
    assert not pages.too_deep


@pytest.mark.parametrize("number", [0, -1, DEEPEST + 1, 10**30, "2", None])
def test_there_is_no_page_before_the_first_or_below_the_deepest(number):
    with pytest.raises(InvalidPage):
        paginator(DEEPEST * 4).page(number)


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
