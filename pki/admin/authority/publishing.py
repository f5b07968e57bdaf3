"""“Publish now”: revocation lists are signed anew at once, of an issuer or of those that were chosen."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.pages import ConsoleAdmin
from pki.models import FULL, SIGNED_BYTES, Issuer, RevocationList
from pki.services.looking import list_standings
from pki.services.publishing import publication
from pki.templatetags.console import list_name

# Signing one takes up to seconds, while the browser waits.
MOST_AT_ONCE = 50
# Lists whose numbers are said, once they are out.
_NAMED = 5


def lists_of(issuer: Issuer) -> QuerySet[RevocationList]:
    """What is published of an issuer at once: the full list, the open shard, and what waits."""
    waiting = [shard for number, shard in list_standings.waiting(timezone.now()) if number == issuer.pk]
    wanted = {FULL, issuer.open_shard, *waiting[: MOST_AT_ONCE - 2]}
    return issuer.revocation_lists.filter(shard__in=wanted).order_by("shard")


class Publishes(ConsoleAdmin):
    """A page from which revocation lists are published."""

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = request.user.has_perms(["pki.view_revocationlist", "pki.change_revocationlist"])
        return allowed and self.has_view_permission(request, obj)

    def ask_to_publish(
        self, request: HttpRequest, lists: QuerySet[RevocationList], *, back: str
    ) -> HttpResponse:
        chosen = lists.defer(*SIGNED_BYTES).select_related("issuer")
        if len(chosen[: MOST_AT_ONCE + 1]) > MOST_AT_ONCE:
            messages.error(request, f"Choose at most {MOST_AT_ONCE} at once.")
            return HttpResponseRedirect(back)

        def act(_: dict[str, Any]) -> str:
            publication.publish_now(chosen, administrator(request), timezone.now())
            return f"Published: {'; '.join(_numbers(chosen.all()))}."

        return ask_first(
            self,
            request,
            title="Publish now",
            question="Sign these revocation lists anew, at once? It is done by itself within seconds of a "
            "revocation, and before their next update; there is no harm in doing it more often.",
            items=chosen,
            button="Publish now",
            act=act,
            back=back,
        )


def _numbers(lists: Sequence[RevocationList] | QuerySet[RevocationList]) -> Iterator[str]:
    """What is out now, whoever made it."""
    rows = list(lists)
    for row in rows[:_NAMED]:
        yield f"{row.issuer}, {list_name(row)}: number {row.number:,}"
    if len(rows) > _NAMED:
        yield f"and {len(rows) - _NAMED:,} more"
