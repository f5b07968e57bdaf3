"""Which requests the inbox lists: by state, by the rule that was broken, by name or address."""

import ipaddress
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from pki.admin.inbox.advice import ADVICE
from pki.models import EnrollmentRequest

State = EnrollmentRequest.State
ALL = "all"
STATES = (State.WAITING, State.REFUSED, State.REJECTED, State.ISSUED)
STATE, CODE = "state__exact", "code"


def chosen_state(request: HttpRequest) -> str:
    """The state whose requests are listed, or ALL; those that wait, unless something else is looked for."""
    if request.method == "POST":
        # An action is for the rows that were chosen, whatever became of them meanwhile.
        return ALL
    chosen, code = request.GET.get(STATE), request.GET.get(CODE)
    if chosen in STATES:
        return str(chosen)
    if code:  # of one rule, across all states, there is no index
        return str(State.REFUSED)
    return ALL if chosen == ALL or request.GET.get("q") else str(State.WAITING)


def searched_address(term: str) -> str | None:
    """The address that is searched for, if it is one."""
    try:
        return str(ipaddress.ip_address(term.strip()))
    except ValueError:
        return None


def ordering(request: HttpRequest) -> tuple[str, ...]:
    """The order that the index has by which the rows are found."""
    term = request.GET.get("q", "")
    if term and searched_address(term) is None:
        return ("name",)
    return ("-created_at",) if chosen_state(request) == ALL else ("-last_at",)


class StateFilter(admin.SimpleListFilter):
    """Chosen by the tabs above the list; here it only takes its parameter."""

    title = "state"
    parameter_name = STATE
    template = "console/parts/in_tabs.html"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(state), str(state)) for state in (*STATES, ALL)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]
    ) -> QuerySet[EnrollmentRequest]:
        state = chosen_state(request)
        return queryset if state == ALL else queryset.filter(state=state)


class CodeFilter(admin.SimpleListFilter):
    """The rules that there are, not those that were broken: nobody has to look through the table for them."""

    title = "rule that was broken"
    parameter_name = CODE

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(code, code) for code in sorted(ADVICE)]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[EnrollmentRequest]
    ) -> QuerySet[EnrollmentRequest]:
        return queryset.filter(code=self.value()) if self.value() else queryset
