from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from pki.admin.authority import viewing
from pki.admin.authority.downloading import Downloadable
from pki.admin.fleet import device_files, registering
from pki.admin.fleet.device_actions import DeviceActions
from pki.admin.fleet.device_filters import (
    GroupFilter,
    LabelFilter,
    LastSeenFilter,
    RefusedFilter,
    RotatingFilter,
)
from pki.admin.fleet.device_forms import SUBJECT_FIELDS, DeviceForm
from pki.admin.fleet.device_page import story
from pki.admin.parts.asking import administrator
from pki.admin.parts.edited_apart import EditedApart
from pki.admin.parts.objects import found, looked_at, page_url
from pki.admin.parts.pages import on_page
from pki.admin.parts.shown import labelled, when
from pki.models import Device
from pki.services.fleet import devices, labels
from pki.templatetags.console import NOTHING, moment

_RECORD = ("name", "profile", *SUBJECT_FIELDS, "sans", "groups", "labels")


@dataclass(frozen=True)
class Deed:
    """A button on a device's page."""

    path: str
    words: str
    # None where the URL is made elsewhere.
    act: Callable[["DeviceAdmin", HttpRequest, QuerySet[Device]], HttpResponse] | None
    needs: str  # has_<needs>_permission
    fits: Callable[[Device], bool]
    style: str = "button"

    @property
    def name(self) -> str:
        """Of its URL: `pki_device_new_token`."""
        return self.path.replace("-", "_")


def _is_active(device: Device) -> bool:
    return device.state == Device.State.ACTIVE


def _is_not_retired(device: Device) -> bool:
    return device.state != Device.State.RETIRED


@admin.register(Device)
class DeviceAdmin(DeviceActions, EditedApart, Downloadable):
    form = DeviceForm
    list_display = (
        "name",
        "shown_state",
        "shown_groups",
        "shown_labels",
        "profile",
        "seen",
        "created",
    )
    list_filter = (
        "state",
        "profile",
        GroupFilter,
        LabelFilter,
        LastSeenFilter,
        RotatingFilter,
        RefusedFilter,
    )
    list_select_related = ("profile", "last_seen")
    search_fields = ("name",)  # for the search box to be there; see get_search_results
    search_help_text = "The beginning of a device's name or of a label"
    ordering = ("-pk",)
    actions = (
        "suspend_selected",
        "resume_selected",
        "retire_selected",
        "revoke_selected",
        "new_tokens_selected",
        "join_selected",
        "leave_selected",
        "label_selected",
        "unlabel_selected",
    )
    actions_list = ("register_many",)

    nothing_yet = (
        "No device yet. Register the first, or many at once, and give each a token: it enrolls with that."
    )

    created = when("created_at", "created", ordering=False)

    # --- The list ---------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Device]:
        queryset: QuerySet[Device] = super().get_queryset(request)
        return queryset.prefetch_related("groups", "labels")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Device], search_term: str
    ) -> tuple[QuerySet[Device], bool]:
        for word in search_term.split():
            labelled_so = Device.labels.through.objects.filter(label__name__begins=word)
            queryset = queryset.filter(Q(name__begins=word) | Q(pk__in=labelled_so.values("device_id")))
        return queryset, False

    @labelled(description="state", label={"active": "success", "suspended": "warning", "retired": "info"})
    def shown_state(self, device: Device) -> str:
        return device.state

    @admin.display(description="groups")
    def shown_groups(self, device: Device) -> str:
        return ", ".join(sorted(group.name for group in device.groups.all())) or NOTHING

    @admin.display(description="labels")
    def shown_labels(self, device: Device) -> str:
        return ", ".join(sorted(label.name for label in device.labels.all())) or NOTHING

    @admin.display(description="last seen")
    def seen(self, device: Device) -> str:
        found = getattr(device, "last_seen", None)
        return moment(found.at) if found else "never"

    # --- A device's own pages ---------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = []
        for deed in DEEDS:
            if deed.act is not None:
                view = wrap(partial(self._deed_view, deed=deed, act=deed.act))
                own.append(path(f"<path:object_id>/{deed.path}/", view, name=f"pki_device_{deed.name}"))
        return own + list(super().get_urls())

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        try:
            response: HttpResponse = super().add_view(request, form_url, extra_context)
        except devices.DeviceExists:
            # Registered by somebody else since the form was checked: asked again, it finds that out itself.
            response = super().add_view(request, form_url, extra_context)
        return response

    def told(self, request: HttpRequest, row: Device) -> HttpResponse:
        """A device's story, with buttons for what this user may do with it."""
        device = row
        buttons = [
            {"words": deed.words, "style": deed.style, "url": page_url(self, device, deed.name)}
            for deed in DEEDS
            if deed.fits(device) and getattr(self, f"has_{deed.needs}_permission")(request)
        ]
        if self.has_change_permission(request, device):
            buttons.append({"words": "Edit", "style": "button", "url": page_url(self, device, "edit")})
        told = story(device, request, timezone.now())
        certified = bool(told.get("current")) and not told["refused"]
        context = {
            **self.admin_site.each_context(request),
            **told,
            "export_command": viewing.export_command(told["current"]) if certified else "",
            "title": device.name,
            "opts": self.model._meta,
            "original": device,
            "buttons": buttons,
            "files": device_files.offered(self, device, certified=certified),
            "may_make_tokens": self.has_token_permission(request),
        }
        return TemplateResponse(request, "console/device.html", context)

    def download(self, request: HttpRequest, pk: int, form: str) -> HttpResponse:
        return device_files.download(self, request, looked_at(self, request, str(pk)), form)

    def history_of(self, row: Device) -> dict[str, Any]:
        return {"device__id__exact": row.pk}

    def _deed_view(
        self, request: HttpRequest, object_id: str, deed: Deed, act: Callable[..., HttpResponse]
    ) -> HttpResponse:
        device: Device = found(self, request, object_id, may=self.has_view_permission)
        if not getattr(self, f"has_{deed.needs}_permission")(request):
            raise PermissionDenied
        return act(self, request, self.get_queryset(request).filter(pk=device.pk))

    # --- Its record -------------------------------------------------------------------------------

    def get_readonly_fields(self, request: HttpRequest, obj: Device | None = None) -> tuple[str, ...]:
        # Its certificates carry the name; another name is another device.
        return ("name", "created") if obj else ()

    def get_fields(self, request: HttpRequest, obj: Device | None = None) -> tuple[str, ...]:
        return (*_RECORD, "created") if obj else _RECORD

    def save_model(self, request: HttpRequest, obj: Device, form: DeviceForm, change: bool) -> None:
        actor, now, cleaned = administrator(request), timezone.now(), form.cleaned_data
        if change:
            changed = form.changed_record
            obj.subject, obj.sans = cleaned["subject"], cleaned["sans"]
            devices.amend(obj, changed, actor, now)
        else:
            made = devices.register(
                obj.name, obj.profile, actor, now, subject=cleaned["subject"], sans=cleaned["sans"]
            )
            obj.pk = made.pk
        labels.set_labels(obj, cleaned["labels"], actor, now)
        labels.set_groups(obj, cleaned["groups"], actor, now)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Groups are stored with the rest, on record."""

    # --- Many -------------------------------------------------------------------------------------

    def has_register_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("pki.add_device")

    @on_page(description="Register many", url_path="register-many", permissions=["register"])
    def register_many(self, request: HttpRequest) -> HttpResponseBase:
        return registering.register_many(self, request)


DEEDS = (
    Deed("new-token", "New token", DeviceAdmin.new_token, "token", _is_active, "button button-primary"),
    Deed(
        "rotate",
        "Rotate now",
        DeviceAdmin.rotate,
        "rotate",
        lambda device: _is_active(device) and device.rotation_requested_at is None,
    ),
    Deed(
        "cancel-rotation",
        "Cancel the rotation",
        DeviceAdmin.cancel_rotation,
        "change",
        lambda device: device.rotation_requested_at is not None,
    ),
    Deed(
        "follow-profile",
        "Follow its profile",
        DeviceAdmin.follow_profile,
        "follow",
        lambda device: device.issuer is not None and device.issuer != device.profile.issuer,
    ),
    Deed("suspend", "Suspend", DeviceAdmin.suspend_selected, "change", _is_active),
    Deed(
        "resume",
        "Resume",
        DeviceAdmin.resume_selected,
        "change",
        lambda device: device.state == Device.State.SUSPENDED,
    ),
    Deed("retire", "Retire", DeviceAdmin.retire_selected, "change", _is_not_retired, "button button-danger"),
    Deed(
        "revoke",
        "Revoke all",
        None,  # pki.admin.authority.revoking
        "revoke",
        lambda device: True,
        "button button-danger",
    ),
)
