"""`GET /metrics`, in Prometheus' text format: what the workers of this server counted, and how all stands."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import accumulate

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pki.endpoints.openapi.operations import BYTES, Answer, Operation, described
from pki.endpoints.problems import endpoint
from pki.services.measuring.families import BUCKETS, Family, families
from pki.services.measuring.shared import SHARED
from pki.services.measuring.standing import DATABASE, KEYS, LISTS, Standing
from pki.services.measuring.watch import WATCH

_BOUNDS = (*map(floatToGoString, BUCKETS), "+Inf")


@described(
    Operation(
        "What is measured, for Prometheus.",
        (Answer("Prometheus' text format.", CONTENT_TYPE_PLAIN_0_0_4, schema=BYTES),),
    )
)
@endpoint("GET")
def metrics(request: HttpRequest) -> HttpResponse:
    registry = CollectorRegistry()
    registry.register(_Everything(WATCH.standing(timezone.now())))
    response = HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response["Cache-Control"] = "no-store"
    return response


class _Everything(Collector):
    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def describe(self) -> Iterable[Metric]:
        return ()  # the names are nobody else's

    def collect(self) -> Iterator[Metric]:
        totals = SHARED.totals()
        for family in families():
            yield _told(family, totals)
        yield from _standing(self._standing)


def _told(family: Family, totals: Sequence[float]) -> Metric:
    match family.kind:
        case "histogram":
            return _histogram(family, totals)
        case "counter":
            metric: CounterMetricFamily | GaugeMetricFamily = CounterMetricFamily(
                family.name, family.says, labels=family.labels
            )
        case _:
            metric = GaugeMetricFamily(family.name, family.says, labels=family.labels)
    for labels, place in family.series:
        metric.add_metric(labels, totals[place])
    return metric


def _histogram(family: Family, totals: Sequence[float]) -> Metric:
    metric = HistogramMetricFamily(family.name, family.says, labels=family.labels)
    for labels, place in family.series:
        end = place + len(_BOUNDS)
        counts = accumulate(totals[place:end])
        metric.add_metric(labels, list(zip(_BOUNDS, counts, strict=True)), totals[end])
    return metric


def _standing(seen: Standing) -> Iterator[Metric]:
    yield _gauge(
        "hatchery_ready",
        "Whether a check of /readyz passes: 1, or 0.",
        "check",
        # An alert for each of those that could not be looked at would hide the one that says why.
        {
            check: 0 if check in seen.troubles else 1
            for check in (DATABASE, KEYS, LISTS)
            if check not in seen.unknown
        },
    )
    yield _gauge(
        "hatchery_expiry_timestamp_seconds",
        "When the first of its kind ends: of issuers in use, of the newest OCSP responders, of CRLs.",
        "what",
        _moments(seen.ends),
    )
    yield _gauge(
        "hatchery_listener_expiry_timestamp_seconds",
        "When the certificate that a listener of this node shows ends.",
        "listener",
        _moments(seen.listeners_end),
    )
    yield GaugeMetricFamily(
        "hatchery_issuers_with_late_crls", "Issuers whose CRLs are not made anew.", seen.lists_late
    )
    yield from _upkeep(seen)
    # Of the installation, whichever node is asked: take the largest, not the sum.
    deeds = CounterMetricFamily(
        "hatchery_installation_deeds",
        "What all nodes and the shell did, as the dashboard counts it, a minute late; the same at each node.",
        labels=("deed",),
    )
    for deed, number in seen.deeds.items():
        deeds.add_metric((deed,), number)
    yield deeds
    yield _gauge(
        "hatchery_certificates_not_renewed",
        "Certificates of devices that end so soon and were not renewed in time; the same at each node.",
        "within",
        seen.not_renewed,
    )
    yield _gauge(
        "hatchery_installation_devices",
        "Devices by their state, a minute late; the same at each node.",
        "state",
        seen.devices,
    )
    yield _gauge(
        "hatchery_database_connections",
        "Connections to this database that PostgreSQL has, of all nodes, by their state.",
        "state",
        seen.connections,
    )
    limit = GaugeMetricFamily(
        "hatchery_database_connections_limit", "PostgreSQL's max_connections.", labels=()
    )
    if seen.connections_limit is not None:
        limit.add_metric((), seen.connections_limit)
    yield limit


def _upkeep(seen: Standing) -> Iterator[Metric]:
    yield _moment(
        "hatchery_maintenance_timestamp_seconds",
        "When any node last began a task of maintenance.",
        seen.maintained_at,
    )
    yield _moment(
        "hatchery_audit_checkpoint_timestamp_seconds",
        "When the last checkpoint of the audit trail was signed.",
        seen.checkpoint_at,
    )
    yield GaugeMetricFamily(
        "hatchery_audit_unsigned_events",
        "Events of the audit trail that were sealed since its last checkpoint.",
        seen.unsigned,
    )
    yield _moment(
        "hatchery_audit_cut_off_timestamp_seconds",
        "When the end of the audit trail was missing last; none if it was not for 30 days.",
        seen.cut_off_at,
    )


def _moment(name: str, says: str, at: datetime | None) -> Metric:
    metric = GaugeMetricFamily(name, says, labels=())
    if at is not None:
        metric.add_metric((), at.timestamp())
    return metric


def _gauge(name: str, says: str, label: str, values: "dict[str, int] | dict[str, float]") -> Metric:
    metric = GaugeMetricFamily(name, says, labels=(label,))
    for value, number in values.items():
        metric.add_metric((value,), number)
    return metric


def _moments(moments: dict[str, datetime]) -> dict[str, float]:
    return {what: at.timestamp() for what, at in moments.items()}
