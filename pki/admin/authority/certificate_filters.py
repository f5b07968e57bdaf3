"""The filters of the list of certificates, and the order in which an index answers each."""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from pki.models import FULL, SIGNED_BYTES, Certificate, Issuer, Revocation, RevocationList
from pki.services.issuing.dependence import lost
from pki.services.looking import upkeep
from pki.services.looking.overview import SPANS
from pki.services.revoking import revocation
from pki.templatetags.console import list_name

_LONGEST_KEY = 18  # decimal digits of a database's number
_OF_REVOCATIONS = ("revoked", "held")


# What ends soon and was not renewed.
UNRENEWED = "unrenewed"


class StandingFilter(admin.SimpleListFilter):
    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "valid"), ("revoked", "revoked"), ("held", "on hold"), ("expired", "expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
        now = timezone.now()
        match self.value():
            case "valid":
                return _not_of_lost(queryset.filter(revocation.unrevoked(), not_after__gte=now))
            case "revoked":
                return queryset.filter(revocation__isnull=False)
            case "held":
                return queryset.filter(revocation__reason=Revocation.Reason.CERTIFICATE_HOLD)
            case "expired":
                return queryset.filter(not_after__lt=now)
        return queryset


def _not_of_lost(certificates: QuerySet[Certificate]) -> QuerySet[Certificate]:
    """Those whose issuer is neither compromised nor below one that is."""
    gone = lost()
    if not gone:
        return certificates
    good = Issuer.objects.exclude(pk__in=gone).exclude(parent=None).values_list("pk", flat=True)
    if len(good) > 1:
        return certificates.exclude(issuer__in=gone)
    # An index has those of one issuer in the list's order: the many that are lost are not walked through.
    return certificates.filter(issuer__in=list(good))


class ExpiresFilter(admin.SimpleListFilter):
    """Those that are not revoked, and end within a time. The dashboard links here."""

    title = "expires"
    parameter_name = "expires"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("24h", "within 24 hours"),
            ("7d", "within 7 days"),
            ("30d", "within 30 days"),
            (UNRENEWED, "within 7 days, not renewed"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
        if self.value() == UNRENEWED:
            return queryset.filter(pk__in=upkeep.unrenewed(timezone.now()).values("pk"))
        span = SPANS.get(self.value() or "")
        if span is None:
            return queryset
        if request.GET.get(StandingFilter.parameter_name, "valid") != "valid":
            return queryset.none()  # the database would look at each to find that out
        now = timezone.now()
        return queryset.filter(revocation.unrevoked(), not_after__gte=now, not_after__lt=now + span)


class LatelyFilter(admin.SimpleListFilter):
    """What was done lately, by the moment in `field`. The dashboard links here."""

    field: str

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("24h", "in the last 24 hours"), ("7d", "in the last 7 days"), ("30d", "in the last 30 days")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = SPANS.get(self.value() or "")
        return queryset if span is None else queryset.filter(**{f"{self.field}__gte": timezone.now() - span})


class IssuedFilter(LatelyFilter):
    """Devices' certificates that were issued lately."""

    title = "issued to devices"
    parameter_name = "issued"
    field = "issued_at"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate]:
        issued = super().queryset(request, queryset)
        return issued.filter(device__isnull=False) if self.value() in SPANS else issued


class RevokedFilter(LatelyFilter):
    """The latest revocations."""

    title = "revoked"
    parameter_name = "revoked"
    field = "revoked_at"


class ShardFilter(admin.SimpleListFilter):
    """Revocations of the certificates that one shard of a CRL is for. The page of that list links here."""

    title = "revocation list"
    parameter_name = "list"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self._shard = self._chosen(request)
        shard = self._shard
        return [(str(shard.pk), f"{shard.issuer}, {list_name(shard)}")] if shard is not None else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Revocation]) -> QuerySet[Revocation]:
        if self._shard is None:
            return queryset
        # Ten thousand certificates, found by their index.
        certificates = Certificate.objects.filter(issuer=self._shard.issuer_id, crl_shard=self._shard.shard)
        return queryset.filter(certificate__in=certificates.values("pk"))

    def _chosen(self, request: HttpRequest) -> RevocationList | None:
        value = request.GET.get(self.parameter_name, "")
        if not value.isascii() or not value.isdecimal() or len(value) > _LONGEST_KEY:
            return None
        shards = RevocationList.objects.exclude(shard=FULL).select_related("issuer")
        return shards.defer(*SIGNED_BYTES).filter(pk=value).first()


class RelatedFilter(admin.RelatedFieldListFilter):
    """Of a profile or an issuer; among the revoked ones, without its index.

    SQLite would begin with all certificates of that profile, where it is to begin with the revocations.
    """

    def queryset(self, request: HttpRequest, queryset: QuerySet[Certificate]) -> QuerySet[Certificate] | None:
        chosen = request.GET.get(self.lookup_kwarg, "")
        if request.GET.get(StandingFilter.parameter_name) in _OF_REVOCATIONS and chosen.isdecimal():
            number = F(f"{self.field_path}_id") + 0
            return queryset.alias(**{f"{self.field_path}_number": number}).filter(
                **{f"{self.field_path}_number": int(chosen)}
            )
        return super().queryset(request, queryset)


def indexed_order(request: HttpRequest) -> tuple[str, ...]:
    """The order of the list in which an index gives the rows that the request's filters leave.

    Of a million certificates, sorting what a filter leaves would take seconds.
    """
    if ExpiresFilter.parameter_name in request.GET:
        return ("not_after", "pk")
    standing = request.GET.get(StandingFilter.parameter_name, "")
    if standing in _OF_REVOCATIONS:
        return ("-revocation__pk", "-pk")
    if IssuedFilter.parameter_name in request.GET:
        return ("-issued_at", "-pk")
    if standing in ("valid", "expired") or any(
        name.startswith(("issuer__", "profile__")) for name in request.GET
    ):
        return ("-not_after", "-pk")
    return ("-pk",)
