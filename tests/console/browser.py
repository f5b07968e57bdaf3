"""An administrator's browser, as far as these tests need one: pages, their forms, and nothing else."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from portal.urls import console  # noqa: F401  it looks for the pages


@dataclass
class Browser:
    """Somebody at the console, over TLS."""

    client: Client
    pages: list[str] = field(default_factory=list)  # the text of every page that was seen

    def get(self, url: str, /, **query: str):
        return self._seen(self.client.get(url, query, secure=True))

    def post(self, url: str, /, **fields):
        return self._seen(self.client.post(url, fields, secure=True))

    def act(self, model: type[Model], action: str, *rows: Model, **more):
        """Choose rows of a list and an action for them, as the list's own form does."""
        fields = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0", **more}
        return self.post(changelist(model), **fields)

    def confirm(self, asked, url: str, /, **filled):
        """Press the button of a page that asks first, with its own hidden fields."""
        return self.post(url, **{**fields_of(asked.content.decode()), **filled})

    def _seen(self, response):
        self.pages.append(response.content.decode(errors="replace"))
        return response


def changelist(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page(row: Model, view: str = "change") -> str:
    return reverse(
        f"admin:{row._meta.app_label}_{row._meta.model_name}_{view.replace('-', '_')}", args=[row.pk]
    )


def add(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def new_token(device: Model) -> str:
    return f"{changelist(type(device))}{device.pk}/new-token/"


# What the forms that make one token are filled in with.
ONE_TOKEN = {"hours": "24", "uses": "1"}


def registered_models(*labels: str) -> list[type[Model]]:
    """Models of the console, of these apps or of all."""
    return [model for model in admin.site._registry if not labels or model._meta.app_label in labels]


class _Forms(HTMLParser):
    """The hidden fields of the form that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append({})
        elif tag == "input" and attributes.get("type") == "hidden" and self.forms and attributes.get("name"):
            self.forms[-1].setdefault(str(attributes["name"]), []).append(attributes.get("value") or "")


def fields_of(html: str) -> dict[str, list[str]]:
    """What the form of a page that asks first sends along."""
    parser = _Forms()
    parser.feed(html)
    (form,) = [form for form in parser.forms if "confirmed" in form]
    return form


class _Fields(HTMLParser):
    """What a browser would send of each form if nothing in it were changed, buttons left out."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, list[str]]] = [{}]
        self._textarea: str | None = None
        self._select: str | None = None

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form":
            self.forms.append({})
        name, kind = given.get("name"), given.get("type", "text")
        if tag == "input" and name and kind not in ("file", "submit"):
            if kind not in ("radio", "checkbox") or "checked" in given:
                self.forms[-1].setdefault(name, []).append(given.get("value") or "")
        elif tag == "textarea":
            self._textarea = name
            self.forms[-1][name] = [""]
        elif tag == "select":
            self._select = name
            self.forms[-1].setdefault(name, [""])
        elif tag == "option" and self._select and "selected" in given:
            self.forms[-1][self._select] = [given.get("value") or ""]

    def handle_data(self, data):
        if self._textarea:
            self.forms[-1][self._textarea][-1] += data

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._textarea = None
        elif tag == "select":
            self._select = None


def filled_in(html: str) -> dict[str, str]:
    """All that a browser would send of a page's largest form, as it is filled in, less its buttons."""
    return {name: values[-1] for name, values in all_filled_in(html).items()}


def all_filled_in(html: str) -> dict[str, list[str]]:
    """The same, with all boxes that are ticked under one name."""
    parser = _Fields()
    parser.feed(html)
    return max(parser.forms, key=len)
