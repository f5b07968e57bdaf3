"""The console: lists, pages and buttons that call the services."""

from pki.admin import (  # noqa: F401  importing a module registers its pages
    audit,
    certificates,
    devices,
    groups,
    issuers,
    profiles,
    requests,
    tokens,
    users,
)
