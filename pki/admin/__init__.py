"""The console: lists, pages and buttons that call the services."""

# Importing a module registers its pages.
from pki.admin import audit, audit_checkpoints  # noqa: F401
from pki.admin.authority import (  # noqa: F401
    certificates,
    cross_certificates,
    issuers,
    profiles,
    responders,
    revocation_lists,
    trust_bundles,
)
from pki.admin.fleet import devices, groups, tokens  # noqa: F401
from pki.admin.inbox import requests  # noqa: F401
from pki.admin.people import users  # noqa: F401
from pki.admin.rotating import campaigns, members  # noqa: F401
from pki.admin.telling import deliveries, notices, webhooks  # noqa: F401
