"""Pages whose row is fetched as a file."""

from abc import abstractmethod

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from pki.admin.parts.objects import url_name
from pki.admin.parts.pages import ConsoleAdmin, ReadOnlyAdmin


class Downloadable(ConsoleAdmin):
    """Of the page of a row: its files, each in a form that is named in the address."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.download)
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:pk>/download/<slug:form>/", view, name=url_name(self, "download")), *urls]

    @abstractmethod
    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        """The row in a file of this form. Raises Http404 for another form."""


class Downloads(Downloadable, ReadOnlyAdmin):
    """The same of rows that are only looked at."""
