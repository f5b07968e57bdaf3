"""Acting on all that a list's search and filters match, not only on the rows of the page that is shown.

The page that asks first carries the numbers of what it asks about, in one field: what comes to match while
somebody reads it is not acted on.
"""

from typing import Any

from django.contrib import messages
from django.contrib.admin.views.main import IGNORED_PARAMS, PAGE_VAR, SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.admin import ModelAdmin

from pki.admin.parts.pages import ConsoleAdmin
from pki.core.errors import Refusal

# Rows that one action takes; the work is done in batches.
MOST_MATCHED = 10_000
# A field of the page that asks: numbers, with commas between them. A field each would be too many.
CHOSEN = "chosen"


class NotThese(Refusal):
    """The rows that match cannot be acted on together."""

    code = "not_these"


def is_asked(page: ModelAdmin, request: HttpRequest) -> bool:
    """Whether an action of this list is for all that match."""
    return getattr(page, "acts_on_all_that_match", False) and request.POST.get("select_across") == "1"


class ActsOnAllThatMatch(ConsoleAdmin):
    """A list whose actions can be for all that match. What they do has to be done in batches."""

    acts_on_all_that_match = True

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """As Django's, for rows that are known before anything is asked or done."""
        if is_asked(self, request):
            try:
                numbers = _chosen(request) if "confirmed" in request.POST else _matching(request, queryset)
            except NotThese as refusal:
                messages.error(request, refusal.detail)
                return HttpResponseRedirect(request.get_full_path())
            # Only to name them: what they belong to is not read with them.
            queryset = queryset.select_related(None).prefetch_related(None).filter(pk__in=numbers)
        response: HttpResponse | None = super().response_action(request, queryset)
        return response


def _matching(request: HttpRequest, rows: QuerySet[Any]) -> list[int]:
    """What the search and the filters match. Raises NotThese."""
    if not _is_narrowed(request):
        raise NotThese("Search or filter the list first; then all that match can be selected.")
    numbers = list(rows.values_list("pk", flat=True)[: MOST_MATCHED + 1])
    if len(numbers) > MOST_MATCHED:
        raise NotThese(
            f"More than {MOST_MATCHED:,} match. Narrow the list with another filter, or act on a whole group "
            "on its page."
        )
    return numbers


def _is_narrowed(request: HttpRequest) -> bool:
    others = {*IGNORED_PARAMS, PAGE_VAR} - {SEARCH_VAR}
    return any(str(value).strip() for name, value in request.GET.items() if name not in others)


def _chosen(request: HttpRequest) -> list[int]:
    """What the page asked about, as it sends it back. Raises NotThese."""
    numbers = request.POST.get(CHOSEN, "").split(",")
    if len(numbers) > MOST_MATCHED or not all(each.isascii() and each.isdigit() for each in numbers):
        raise NotThese("The page came back without what it was about; choose again.")
    return [int(each) for each in numbers]
