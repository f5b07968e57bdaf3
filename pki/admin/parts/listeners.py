"""Where devices reach the listeners that are for them."""

from django.conf import settings

from pki.core.names import url_host


def secure_url() -> str:
    return _url(settings.PORTAL_PORT_SECURE)


def provisioning_url() -> str:
    return _url(settings.PORTAL_PORT_PROVISIONING)


def _url(port: int) -> str:
    return f"https://{url_host(settings.PORTAL_HOSTNAMES[0])}:{port}"
