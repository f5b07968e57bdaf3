"""The pages and buttons of one object: their names, where they are, and the object itself."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest
from django.urls import reverse
from unfold.admin import ModelAdmin


def found(
    page: ModelAdmin, request: HttpRequest, object_id: str, *, may: Callable[[HttpRequest, Any], bool]
) -> Any:
    """The object that a URL names, for who may. Raises PermissionDenied or Http404."""
    if not may(request, None):  # who may not is not told whether it exists
        raise PermissionDenied
    row = page.get_object(request, unquote(object_id))
    if row is None:
        raise Http404
    if not may(request, row):
        raise PermissionDenied
    return row


def looked_at(page: ModelAdmin, request: HttpRequest, object_id: str) -> Any:
    """The object of a page that only shows it. Raises PermissionDenied, for a POST too, or Http404."""
    if request.method not in ("GET", "HEAD"):
        raise PermissionDenied
    return found(page, request, object_id, may=page.has_view_permission)


def url_name(page: ModelAdmin, verb: str) -> str:
    """The name of a URL of a page: `pki_certificate_revoke`."""
    meta = page.model._meta
    return f"{meta.app_label}_{meta.model_name}_{verb}"


def list_url(page: ModelAdmin) -> str:
    """Where a page's list is."""
    return reverse(f"{page.admin_site.name}:{url_name(page, 'changelist')}")


def page_url(page: ModelAdmin, row: Model, verb: str = "change", *more: str) -> str:
    """Where an object's own page is, or one of its other URLs."""
    return reverse(f"{page.admin_site.name}:{url_name(page, verb)}", args=[row.pk, *more])
