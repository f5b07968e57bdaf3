"""What the console's pages have in common: lists that count no table, and pages that only show."""

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin
from unfold.decorators import action

from pki.admin.parts.paging import InfinitePaginator

View = TypeVar("View", bound=Callable[..., Any])


def on_page(**options: Any) -> Callable[[View], View]:
    """A button on an object's page: unfold's `action`, with a type."""
    decorate: Callable[[View], View] = action(**options)
    return decorate


class ConsoleAdmin(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """Every list of the console: nothing is ever deleted, and no list counts its table."""

    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    list_disable_select_all = True
    # Sorting a large table by a column without an index reads all of it: each list names those that have one.
    sortable_by: tuple[str, ...] = ()

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """As Django's; what only the database can refuse is said, and nothing is stored."""
        try:
            response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            return response
        except IntegrityError:
            messages.error(request, "Somebody stored the same at this moment; look before you try again.")
        return HttpResponseRedirect(request.get_full_path())

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ConsoleAdmin):
    """A table that is only looked at: what is in it was signed or recorded."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
