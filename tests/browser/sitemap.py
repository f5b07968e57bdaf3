"""Every page of the console that a GET reaches, found in its URLs, and every action of its lists."""

import re
from collections.abc import Iterator

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import RequestFactory
from django.urls import URLResolver, get_resolver

from portal.urls import console  # noqa: F401  it looks for the pages

# Answers that are no pages of their own. What has no name only redirects.
_NO_PAGES = ("jsi18n", "logout", "login_by_certificate", "autocomplete", "view_on_site", "search")
_PARAMETER = re.compile(r"<[^>]*>")


def _routes(resolver: URLResolver, before: str = "/") -> Iterator[tuple[str, str]]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _routes(entry, route)
        elif entry.name and entry.name not in _NO_PAGES and "(?P" not in route:
            yield entry.name, route


_ADMINISTRATOR = RequestFactory().get("/admin/")
_ADMINISTRATOR.user = User(is_superuser=True, is_active=True)


def _model(route: str) -> type[Model] | None:
    for model in admin.site._registry:
        if route.startswith(f"/admin/{model._meta.app_label}/{model._meta.model_name}/"):
            return model
    return None


def _is_for_somebody(route: str, name: str) -> bool:
    """Whether it shows a page: what not even an administrator adds or deletes is a 403."""
    model = _model(route)
    if model is not None and name == f"pki_{model._meta.model_name}_add":
        return admin.site.get_model_admin(model).has_add_permission(_ADMINISTRATOR)
    if model is not None and name == f"pki_{model._meta.model_name}_delete":
        return admin.site.get_model_admin(model).has_delete_permission(_ADMINISTRATOR)
    return True


_ROUTES = {
    route: name
    for name, route in _routes(get_resolver("portal.urls.console"))
    if route.startswith("/admin/") and _is_for_somebody(route, name)
}
# Pages that stand for themselves: path → what the test is called.
PAGES = {route: name for route, name in _ROUTES.items() if "<" not in route}
# Pages of one object: (the model's label, route) → what the test is called.
PAGES_OF_AN_OBJECT = {
    (model._meta.label, route): name
    for route, name in _ROUTES.items()
    if (model := _model(route)) is not None
    and len(_PARAMETER.findall(route)) == 1
    and "object_id" in route
    and model._meta.app_label == "pki"
}
# Actions of lists: what the test is called → (the list's model, the action).
ACTIONS: dict[str, tuple[type[Model], str]] = {
    f"{model.__name__}: {action}": (model, action)
    for model, page in admin.site._registry.items()
    if model._meta.app_label == "pki"
    for action in page.actions or ()
    if isinstance(action, str)
}


def at(route: str, key: str) -> str:
    """The address of a page of the object of this key."""
    return _PARAMETER.sub(key, route)
