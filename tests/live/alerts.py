"""For each alert of `monitoring/` a case in which it comes, as promtool reads it."""

import yaml

# Alert → what Prometheus sees (promtool's writing), and when it is to have come.
COME = {
    "HatcheryDown": ({'up{job="hatchery"}': "0x60"}, "5m"),
    "HatcheryNotReady": ({'hatchery_ready{check="keys"}': "0x60"}, "5m"),
    "HatcheryIssuerEnds": ({'hatchery_expiry_timestamp_seconds{what="issuer"}': "7000000x120"}, "90m"),
    "HatcheryListenerCertificateEnds": (
        {'hatchery_listener_expiry_timestamp_seconds{listener="secure"}': "1000000x120"},
        "90m",
    ),
    "HatcheryOcspResponderEnds": (
        {'hatchery_expiry_timestamp_seconds{what="ocsp_responder"}': "80000x120"},
        "90m",
    ),
    "HatcheryListsLate": ({"hatchery_issuers_with_late_crls": "1x60"}, "15m"),
    "HatcheryDevicesDoNotRenew": (
        {
            'hatchery_certificates_not_renewed{within="7d"}': "11x120",
            'hatchery_installation_devices{state="active"}': "1000x120",
        },
        "90m",
    ),
    "HatcheryMaintenanceFails": (
        {'hatchery_maintenance_failures_total{task="audit file"}': "0+1x60"},
        "30m",
    ),
    "HatcheryMaintenanceRests": ({"hatchery_maintenance_timestamp_seconds": "60x60"}, "30m"),
    # Noticed before Prometheus asked for the first time.
    "HatcheryAuditCutOff": ({"hatchery_audit_cut_off_timestamp_seconds": "-3600x60"}, "20m"),
    "HatcheryAuditUnsigned": (
        {"hatchery_audit_checkpoint_timestamp_seconds": "60x60", "hatchery_audit_unsigned_events": "1x60"},
        "30m",
    ),
    "HatcheryFailing": (
        {
            'hatchery_requests_total{listener="secure",status="5xx"}': "0+10x60",
            'hatchery_requests_total{listener="secure",status="2xx"}': "0+90x60",
        },
        "15m",
    ),
    "HatcherySlow": (
        {
            'hatchery_request_duration_seconds_bucket{endpoint="/secure",le="0.5"}': "0+50x60",
            'hatchery_request_duration_seconds_bucket{endpoint="/secure",le="1.0"}': "0+100x60",
            'hatchery_request_duration_seconds_bucket{endpoint="/secure",le="+Inf"}': "0+100x60",
        },
        "30m",
    ),
    "HatcheryThreadsBusy": ({"hatchery_requests_in_hand": "20x60", "hatchery_threads": "16x60"}, "5m"),
    "HatcheryConnectionsNearLimit": (
        {"hatchery_client_connections": "3900x60", "hatchery_client_connections_limit": "4000x60"},
        "5m",
    ),
    "HatcheryDatabaseConnectionsNearLimit": (
        {
            'hatchery_database_connections{state="idle"}': "90x60",
            "hatchery_database_connections_limit": "100x60",
        },
        "10m",
    ),
    "HatcheryDatabasePoolShort": ({"hatchery_database_pool_timeouts_total": "0+1x60"}, "20m"),
    "HatcheryRefusals": ({'hatchery_refusals_total{code="token_invalid"}': "0+120x60"}, "30m"),
    "HatcheryHandshakesFail": (
        {
            'hatchery_handshake_failures_total{listener="secure",reason="unknown_issuer"}': "0+60x60",
            'hatchery_handshakes_total{listener="secure"}': "0+60x60",
        },
        "30m",
    ),
    "HatcheryManyRevoked": (
        {'hatchery_installation_deeds_total{deed="revoked"}': "0+5x60"},
        "50m",
    ),
    "HatcheryWorkersRestart": (
        {"hatchery_worker_starts_total": "2+1x60", "hatchery_workers": "2x60"},
        "30m",
    ),
}


# What is more than one case of an alert: alert, series, when it is to have come.
ALSO = (
    (
        "HatcherySlow",
        {
            'hatchery_request_duration_seconds_bucket{endpoint="/ocsp/{encoded}",le="0.5"}': "0+50x60",
            'hatchery_request_duration_seconds_bucket{endpoint="/ocsp/{encoded}",le="1.0"}': "0+100x60",
            'hatchery_request_duration_seconds_bucket{endpoint="/ocsp/{encoded}",le="+Inf"}': "0+100x60",
        },
        "30m",
    ),
    # Nothing has happened since the last checkpoint: one is due after a day all the same.
    ("HatcheryAuditUnsigned", {"hatchery_audit_checkpoint_timestamp_seconds": "60x1600"}, "1580m"),
    # Which nobody may have been awake for.
    ("HatcheryAuditCutOff", {"hatchery_audit_cut_off_timestamp_seconds": "60x1600"}, "1580m"),
    # Guessed tokens, of which the limit of one address refuses the most; docs/hardening.md.
    (
        "HatcheryRefusals",
        {
            'hatchery_refusals_total{code="token_invalid"}': "0+10x60",
            'hatchery_refusals_total{code="too_many_failures"}': "0+290x60",
        },
        "30m",
    ),
    ("HatcheryRefusals", {'hatchery_refusals_total{code="too_many_without_token"}': "0+290x60"}, "30m"),
)


def rule_tests(rules, folder):
    """promtool's unit tests: each alert comes when it should, and not of a server that does well."""
    tests = [
        {
            "interval": "1m",
            "input_series": [
                {"series": name, "values": values.replace("x", "+0x", 1) if "+" not in values else values}
                for name, values in series.items()
            ],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})',
                    "eval_time": at,
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
            ],
        }
        for alert, series, at in (*((alert, *case) for alert, case in COME.items()), *ALSO)
    ]
    return written(folder / "tests.yml", rules, tests)


def written(path, rules, tests):
    """A file of promtool's unit tests; its path."""
    path.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
    return path


def moved(series, now):
    """promtool's clock begins in 1970."""
    if "_timestamp_" not in series["series"]:
        return series
    # What is done again each minute, and what ends at its time.
    step = 60 if series["series"].startswith(("hatchery_maintenance", "hatchery_audit_checkpoint")) else 0
    return series | {"values": f"{float(series['values'].partition('+')[0]) - now:f}+{step}x120"}
