"""Objects whose page tells their story; what is on record is changed on a page of its own, behind *Edit*."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path

from pki.admin.parts.objects import found, page_url, url_name
from pki.admin.parts.pages import ConsoleAdmin


class EditedApart(ConsoleAdmin):
    """`<number>/change/` shows, `<number>/edit/` changes."""

    def get_urls(self) -> list[URLPattern]:
        edit = self.admin_site.admin_view(self.edit_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/edit/", edit, name=url_name(self, "edit")), *urls]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show it to who may see it; a POST has nothing to do here."""
        row = found(self, request, object_id, may=self.has_view_permission)
        if request.method not in ("GET", "HEAD"):
            if not self.has_change_permission(request, row):
                raise PermissionDenied
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self.told(request, row)

    def told(self, request: HttpRequest, row: Any) -> HttpResponse:
        """The page that tells its story."""
        raise NotImplementedError

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Change what is on record."""
        row = found(self, request, object_id, may=self.has_view_permission)
        if not self.has_change_permission(request, row):
            raise PermissionDenied
        response: HttpResponse = self.changeform_view(request, object_id)
        return response

    def response_post_save_add(self, request: HttpRequest, obj: Model) -> HttpResponse:
        return HttpResponseRedirect(page_url(self, obj))

    def response_post_save_change(self, request: HttpRequest, obj: Model) -> HttpResponse:
        return HttpResponseRedirect(page_url(self, obj))
