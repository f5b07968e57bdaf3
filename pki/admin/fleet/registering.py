"""Registering many devices: paste or upload, look at what would come of it, then all of them or none."""

import hashlib
import json
import logging
from collections.abc import Generator, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import Error
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from pki.admin.fleet.device_forms import LIFETIMES
from pki.admin.fleet.token_pages import sheet_of
from pki.admin.parts.asking import administrator
from pki.admin.parts.objects import list_url
from pki.core import sheets
from pki.core.errors import Refusal
from pki.models import Profile
from pki.services.audit import Actor
from pki.services.complaints import COMPLAINTS, OUR_MISTAKES, reason
from pki.services.enrolling.tokens import Handed
from pki.services.fleet import rosters
from pki.services.fleet.rosters import Roster

log = logging.getLogger("hatchery.console")

LARGEST = 2_000_000  # characters; the console takes requests of 2.5 MB
LARGEST_FILE = 1_900_000  # bytes: its text comes back with line ends that may be longer
SHOWN = 100
_STREAMED = "application/x-ndjson"


class RosterForm(forms.Form):
    """The devices, and what all of them get."""

    rows = forms.CharField(
        label="Devices",
        required=False,
        max_length=LARGEST,
        strip=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false"}),
        help_text="One a line: a name, or a CSV.",
    )
    file = forms.FileField(
        label="Or a CSV file",
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text="UTF-8, at most 1.9 MB. It takes the place of what is above.",
    )
    profile = forms.ModelChoiceField(
        Profile.objects.order_by("name"),
        label="Profile",
        empty_label=None,
        widget=UnfoldAdminSelectWidget,
        help_text="Of devices whose line names none.",
    )
    hours = forms.ChoiceField(
        label="Tokens",
        required=False,
        choices=[
            ("", "None"),
            *((hours, f"One each, good for {words}") for hours, words in LIFETIMES.items()),
        ],
        widget=UnfoldAdminSelectWidget,
        help_text="To download once, right after the registration.",
    )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        upload = cleaned.get("file")
        if upload:
            if upload.size > LARGEST_FILE:
                raise ValidationError("The file has more than 1.9 MB; register it in parts.")
            try:
                cleaned["rows"] = sheets.decoded(upload.read())
            except sheets.SheetRefused as refusal:
                self.add_error("file", refusal.detail)
            else:
                # Shown in the box from now on: a browser does not choose a file again by itself.
                self.data = {**dict(self.data.items()), "rows": cleaned["rows"]}
        elif not self.errors and not cleaned.get("rows", "").strip():
            self.add_error("rows", "Write at least one name, or choose a file.")
        return cleaned

    @property
    def seal(self) -> str:
        """Stands for what is filled in; only what was previewed is registered."""
        rows = "\n".join(self.cleaned_data["rows"].splitlines())  # browsers change line ends
        profile, hours = self.cleaned_data["profile"].pk, self.cleaned_data["hours"]
        return hashlib.sha256(f"{profile}\0{hours}\0{rows}".encode()).hexdigest()

    @property
    def lifetime(self) -> timedelta | None:
        hours = self.cleaned_data["hours"]
        return timedelta(hours=int(hours)) if hours else None


def register_many(page: ModelAdmin, request: HttpRequest) -> HttpResponseBase:
    """Ask for the devices; show what would be made of them; make them.

    Nothing is kept between the steps: the preview sends everything along, and all of it is checked again.
    """
    if request.method != "POST":
        chosen = Profile.objects.filter(name="device").first()
        return _page(page, request, _form(page, request, initial={"profile": chosen}))
    form = _form(page, request, data=request.POST, files=request.FILES)
    if not form.is_valid():
        return _page(page, request, form)
    if form.lifetime and not request.user.has_perm("pki.add_enrollmenttoken"):
        raise PermissionDenied
    try:
        roster = rosters.read(form.cleaned_data["rows"], form.cleaned_data["profile"])
    except Refusal as refusal:
        form.add_error("rows", refusal.detail)
        return _page(page, request, form)
    if roster.problems or request.POST.get("register") != form.seal:
        return _page(page, request, form, roster)
    return _register(page, request, form, roster)


def _form(page: ModelAdmin, request: HttpRequest, **options: Any) -> RosterForm:
    form = RosterForm(**options)
    if not request.user.has_perm("pki.add_enrollmenttoken"):
        form.fields["hours"].widget = forms.HiddenInput()
    return form


def _page(
    page: ModelAdmin, request: HttpRequest, form: RosterForm, roster: Roster | None = None
) -> HttpResponse:
    context = {
        **page.admin_site.each_context(request),
        "title": "Register many devices",
        "opts": page.model._meta,
        "form": form,
        "columns": rosters.COLUMNS,
        "most": rosters.MOST,
        "back": list_url(page),
    }
    if roster is not None:
        context |= {
            "roster": roster,
            "new": roster.new[:SHOWN],
            "more_new": max(0, len(roster.new) - SHOWN),
            "problems": roster.problems[:SHOWN],
            "more_problems": max(0, len(roster.problems) - SHOWN),
        }
    return TemplateResponse(request, "console/register_many.html", context)


def _register(page: ModelAdmin, request: HttpRequest, form: RosterForm, roster: Roster) -> HttpResponseBase:
    streams = _STREAMED in request.headers.get("Accept", "")
    steps = _steps(page, roster, administrator(request), form.lifetime, has_begun=streams)
    if streams:
        streamed = StreamingHttpResponse(_lines(steps), content_type=_STREAMED)
        streamed["Cache-Control"] = "no-store"
        return streamed
    *_, last = steps
    response = TemplateResponse(
        request,
        "console/registered.html",
        {
            **page.admin_site.each_context(request),
            "title": "Register many devices",
            "opts": page.model._meta,
            "panel": last["html"],
        },
    )
    response["Cache-Control"] = "no-store"
    return response


def _lines(steps: Generator[dict[str, Any], None, None]) -> Iterator[str]:
    # Closed by name: whoever leaves ends the transaction now, not when memory is tidied.
    with closing(steps):
        for step in steps:
            yield json.dumps(step) + "\n"


def _steps(
    page: ModelAdmin, roster: Roster, actor: Actor, lifetime: timedelta | None, *, has_begun: bool
) -> Generator[dict[str, Any], None, None]:
    """How far it is, and at the end the panel that says what came of it.

    An answer that `has_begun` when the database fails cannot become a 503 any more. Closing this while
    devices are registered, as a browser that goes away does, registers none.
    """
    total = len(roster.new)
    handed: list[Handed] = []
    yield {"doing": "Registering", "done": 0, "of": total}
    try:
        with closing(rosters.register(roster, actor, timezone.now(), lifetime)) as done:
            for step in done:
                handed += step.handed
                yield {"doing": step.doing, "done": step.done, "of": total}
    except Refusal as refusal:
        context: dict[str, Any] = {"refusal": refusal.detail}
    except Error as error:
        # Tokens that were made are in the answer alone.
        if not has_begun and not handed:
            raise
        _complain(error)
        context = {"broken_off": True, **(sheet_of(handed) if handed else {})}
    else:
        context = {"registered": total, **(sheet_of(handed) if handed else {})}
    yield {"html": render_to_string("console/registered_panel.html", {**context, "back": list_url(page)})}


def _complain(error: Error) -> None:
    what = "Registering many devices broke off"
    if isinstance(error, OUR_MISTAKES):
        log.exception(what)
    else:
        COMPLAINTS.say(log, what, reason(error))
