from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from pki.admin.authority.revoking import RevokesOfGroups
from pki.admin.fleet.device_forms import TokenForm
from pki.admin.fleet.impact import group_at_work
from pki.admin.fleet.token_pages import handed_once
from pki.admin.parts import once
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.edited_apart import EditedApart
from pki.admin.parts.objects import found, page_url
from pki.admin.parts.shown import counted
from pki.models import Device, DeviceGroup
from pki.services.enrolling import tokens
from pki.services.fleet import devices, labels

_SHOWN = 50
# Path → its word, and the state that it brings.
_STATES = {
    "suspend": ("Suspend", Device.State.SUSPENDED),
    "resume": ("Resume", Device.State.ACTIVE),
    "retire": ("Retire", Device.State.RETIRED),
}


@admin.register(DeviceGroup)
class DeviceGroupAdmin(RevokesOfGroups, EditedApart):
    list_display = ("name", "description")
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a group's name"
    ordering = ("name",)
    fields = ("name", "description")
    actions = ("revoke_selected",)
    nothing_yet = "No group yet. Make one for what is acted on together: a site, a line, a customer."

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        own = [
            path("<path:object_id>/new-tokens/", wrap(self.tokens_view), name="pki_devicegroup_new_tokens")
        ]
        for word in _STATES:
            own.append(
                path(
                    f"<path:object_id>/{word}/",
                    wrap(self.state_view),
                    {"word": word},
                    name=f"pki_devicegroup_{word}",
                )
            )
        return own + list(super().get_urls())

    def told(self, request: HttpRequest, row: DeviceGroup) -> HttpResponse:
        """A group with its newest devices."""
        group = row
        may_see = request.user.has_perm("pki.view_device")
        inside = Device.groups.through.objects.filter(devicegroup_id=group.pk).values("device_id")
        members = Device.objects.filter(pk__in=inside).select_related("last_seen", "profile").order_by("-pk")
        listed = list(members[: _SHOWN + 1]) if may_see else []
        return TemplateResponse(
            request,
            "console/group.html",
            {
                **self.admin_site.each_context(request),
                "title": group.name,
                "opts": self.model._meta,
                "original": group,
                "group": group,
                "devices": listed[:_SHOWN],
                "more": len(listed) > _SHOWN,
                "all_url": f"{reverse('admin:pki_device_changelist')}?group={group.name}",
                "may_see": may_see,
                "may_change": self.has_change_permission(request, group),
                "may_revoke": self.has_revoke_permission(request, group),
                "may_make_tokens": may_see and request.user.has_perm("pki.add_enrollmenttoken"),
                "may_change_devices": request.user.has_perm("pki.change_device"),
            },
        )

    def state_view(self, request: HttpRequest, object_id: str, word: str) -> HttpResponse:
        """Suspend, resume or retire all devices of a group."""
        group: DeviceGroup = found(self, request, object_id, may=self.has_view_permission)
        if not request.user.has_perm("pki.change_device"):
            raise PermissionDenied
        verb, state = _STATES[word]

        def act(_: dict[str, Any]) -> str:
            changed = devices.change_states_of(group, state, administrator(request), timezone.now())
            return counted(f"Now {state}:", changed, "device")

        resumes = state == Device.State.ACTIVE
        return ask_first(
            self,
            request,
            title=f"{verb} all of {group}",
            question=f"{verb} every device of this group? It takes effect at their next request.",
            items=[group],
            button=f"{verb} all",
            act=act,
            impact=None if resumes else group_at_work,
            destructive=not resumes,
            back=page_url(self, group),
        )

    def tokens_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Make a token for each device of a group that has no certificate yet."""
        group: DeviceGroup = found(self, request, object_id, may=self.has_view_permission)
        if not (
            request.user.has_perm("pki.add_enrollmenttoken") and request.user.has_perm("pki.view_device")
        ):
            raise PermissionDenied

        def act(cleaned: dict[str, Any]) -> HttpResponse | str:
            waiting = tokens.awaited(group)
            if not waiting:
                return "Each active device of the group has a certificate: no token was made."
            with once.answering(request, cleaned["once"]):
                handed = tokens.make_each(waiting, administrator(request), timezone.now(), cleaned["hours"])
            return handed_once(self, request, handed, counted("Made", len(handed), "token"))

        return ask_first(
            self,
            request,
            title=f"New tokens for {group}",
            question="Make a token for each active device of this group that has no certificate yet? "
            f"At most {tokens.MOST_AT_ONCE:,}; they are shown once, as a CSV to download.",
            items=[group],
            button="Make the tokens",
            act=act,
            form_class=TokenForm,
            back=page_url(self, group),
        )

    def save_model(self, request: HttpRequest, obj: DeviceGroup, form: Any, change: bool) -> None:
        labels.save_group(obj, form.changed_data, administrator(request), timezone.now())
