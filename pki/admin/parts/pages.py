"""What the console's pages have in common: lists that count no table, and pages that only show."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.text import capfirst
from unfold.admin import ModelAdmin
from unfold.decorators import action

from pki.admin.parts.objects import found
from pki.admin.parts.paging import InfinitePaginator

View = TypeVar("View", bound=Callable[..., Any])


def on_page(**options: Any) -> Callable[[View], View]:
    """A button on an object's page: unfold's `action`, with a type."""
    decorate: Callable[[View], View] = action(**options)
    return decorate


def _parameters(page: ModelAdmin, list_filter: Any) -> Iterator[str]:
    """What a filter of a list takes from an address."""
    if isinstance(list_filter, type):
        yield from getattr(list_filter, "parameters", None) or [getattr(list_filter, "parameter_name", "")]
        return
    name = list_filter[0] if isinstance(list_filter, tuple) else list_filter
    field = page.opts.get_field(name)
    yield from (name, f"{name}__id__exact" if field.is_relation else f"{name}__exact")
    if field.null:
        yield f"{name}__isnull"


class Listed(ModelAdmin):  # type: ignore[misc]  # unfold has no types
    """A list that is called as the sidebar calls it, and says what to do when it is empty."""

    nothing_yet = "There is nothing here yet."

    @property
    def plural(self) -> str:
        """What the list is called."""
        return str(self.opts.verbose_name_plural)

    def is_narrowed(self, changelist: ChangeList) -> bool:
        """Whether a search or a filter may have left nothing of what there is."""
        return bool(changelist.query or changelist.get_filters_params())

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        changelist: ChangeList = super().get_changelist_instance(request)
        changelist.narrowed = self.is_narrowed(changelist)  # type: ignore[attr-defined]  # for templates
        return changelist

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"title": capfirst(self.plural), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, context)
        return response


class ConsoleAdmin(Listed):
    """Every list of the console: nothing is ever deleted, and no list counts its table."""

    paginator = InfinitePaginator
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    list_disable_select_all = True
    # Sorting a large table by a column without an index reads all of it: each list names those that have one.
    sortable_by: tuple[str, ...] = ()
    # What the console's links ask of this list beyond its filters: as little as there are indexes for.
    linked_by: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Whether an address may narrow the list so: as its filters do, and no other way.

        Any other lookup would read the whole table, as `?name__contains=` does.
        """
        filters = self.get_list_filter(request) if request is not None else self.list_filter
        return lookup in self.linked_by or any(lookup in _parameters(self, each) for each in filters)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Lead to the audit log: what happened stands there, and nowhere else."""
        row = found(self, request, object_id, may=self.has_view_permission)
        if not request.user.has_perm("pki.view_auditevent"):
            raise PermissionDenied
        return HttpResponseRedirect(
            reverse("admin:pki_auditevent_changelist", query=self.history_of(row) or None)
        )

    def history_of(self, row: Any) -> dict[str, Any]:
        """What the audit log is asked for, to tell of one row."""
        return {}

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
