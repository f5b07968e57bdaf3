"""CRLs on the status listener: full lists, shards, deltas (RFC 5280 5), DER and PEM (RFC 7468 6)."""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from pki.endpoints.openapi.operations import Answer, Operation, described
from pki.endpoints.problems import NotFound, PreconditionFailed, endpoint
from pki.endpoints.versions import NOT_MODIFIED, PEM, Version, answer, tag_of
from pki.models import FULL, RevocationList
from pki.services.publishing import publication, published, serving

DER = "application/pkix-crl"  # RFC 2585 4.2


_REFUSALS = (NotFound, PreconditionFailed, publication.PublicationBusy, publication.NotPublishable)
_PARAMETERS = {
    "key_identifier": "The issuer's subject key identifier, lower-case hex.",
    "shard": "The part of the list that a certificate names.",
    "form": "`crl` for DER, `pem` for PEM.",
}


# So often a list may be made anew while one request asks for it.
TRIES = 5


@described(
    Operation(
        "An issuer's certificate revocation list (RFC 5280 5): the whole one, or a part.",
        (Answer("The list, DER.", DER), Answer("The list, PEM (RFC 7468 6).", PEM), NOT_MODIFIED),
        refusals=_REFUSALS,
        parameters=_PARAMETERS,
    )
)
@endpoint("GET")
def revocation_list(
    request: HttpRequest, key_identifier: str, form: str, shard: str = str(FULL)
) -> HttpResponse:
    """A list of an issuer: the full one, or that of a shard; `form` is `crl` (DER) or `pem`."""

    def serve(now: datetime) -> HttpResponse:
        found = _current(key_identifier, int(shard), now)
        if form == "pem":
            return _answer(request, found, "-pem", PEM, published.pem, now)
        return _answer(request, found, "", DER, published.der, now)

    return _as_stored(serve)


@described(
    Operation(
        "What has changed since the base of an issuer's whole list (RFC 5280 5.2.4).",
        (Answer("The delta, DER.", DER), NOT_MODIFIED),
        refusals=_REFUSALS,
        parameters=_PARAMETERS,
    )
)
@endpoint("GET")
def delta(request: HttpRequest, key_identifier: str) -> HttpResponse:
    """What has changed since the base of an issuer's full list, DER (RFC 5280 5.2.4)."""

    def serve(now: datetime) -> HttpResponse:
        found = _current(key_identifier, FULL, now)
        return _answer(request, found, "-delta", DER, published.delta, now)

    return _as_stored(serve)


@described(
    Operation(
        "The whole lists of all issuers in one file, for nginx and HAProxy.",
        (Answer("The lists, PEM, one after the other.", PEM), NOT_MODIFIED),
        refusals=_REFUSALS,
    )
)
@endpoint("GET")
def all_lists(request: HttpRequest) -> HttpResponse:
    """The full lists of all issuers in one PEM file, as nginx and HAProxy want it."""

    def serve(now: datetime) -> HttpResponse:
        lists = serving.current_full_lists(now)
        if not lists:
            raise NotFound("There is no issuer.")
        version = Version(
            tag=tag_of(each.fingerprint for each in lists),
            changed_at=max(each.this_update for each in lists if each.this_update),
            # Two of them may be made anew in one second, and somebody fetch this in between.
            by_date=False,
            content_type=PEM,
            max_age=settings.PORTAL_STATUS_MAX_AGE,
            ends_at=min(each.next_update for each in lists if each.next_update),
        )
        return answer(request, version, lambda: published.joined_pem(lists, version.tag), now)

    return _as_stored(serve)


def _current(key_identifier: str, shard: int, now: datetime) -> RevocationList:
    found = serving.current(key_identifier, shard, now)
    if found is None:
        raise NotFound("There is no such list.")
    return found


def _answer(
    request: HttpRequest,
    found: RevocationList,
    suffix: str,
    content_type: str,
    content: Callable[[RevocationList], bytes],
    now: datetime,
) -> HttpResponse:
    version = Version(
        tag=found.fingerprint + suffix,
        changed_at=found.this_update or now,
        content_type=content_type,
        max_age=settings.PORTAL_STATUS_MAX_AGE,
        ends_at=found.next_update,
    )
    return answer(request, version, lambda: content(found), now)


def _as_stored(serve: Callable[[datetime], HttpResponse]) -> HttpResponse:
    """Serve a list of which the headers and the bytes belong together, though it may be made anew between."""
    for _ in range(TRIES):
        try:
            return serve(timezone.now())
        except published.Replaced:
            continue
    raise publication.PublicationBusy("This list is being made at this moment; try again in a few seconds.")
