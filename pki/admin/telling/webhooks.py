"""Webhooks in the console: who is told of notices by a signed POST."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from pki.admin.navigation import link
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.edited_apart import EditedApart
from pki.admin.parts.objects import found, list_url, page_url, url_name
from pki.admin.parts.shown import labelled, when
from pki.admin.telling.words import kind_in_words
from pki.models import Delivery, Webhook
from pki.services.telling import webhooks
from pki.services.telling.kinds import KINDS

_SHOWN = 20
# Path → its button, whether it is red, and the permission on webhooks that it needs.
_DEEDS = {
    "test": ("Send a test", "", "change"),
    "secret": ("Show the secret", "", "change"),
    "new-secret": ("New secret", "", "change"),
    "remove": ("Remove", "button-danger", "delete"),
}


class WebhookForm(forms.Form):
    """What is said of a webhook."""

    name = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget, help_text="How you speak of it: “on-call chat”."
    )
    url = forms.CharField(
        label="URL",
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
        help_text="Where notices are posted to. An address in a private network must be allowed by "
        "PORTAL_WEBHOOK_NETWORKS.",
    )
    kinds = forms.MultipleChoiceField(
        choices=list(KINDS.items()),
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Of what it is told; choose none for everything.",
    )
    enabled = forms.BooleanField(
        required=False,
        initial=True,
        widget=UnfoldBooleanWidget,
        help_text="While it is not, it is told of nothing, and what waits for it waits on.",
    )


@admin.register(Webhook)
class WebhookAdmin(EditedApart):
    list_display = ("name", "shown_host", "shown_enabled", "shown_kinds", "made", "created_by")
    list_filter = ("enabled",)
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a webhook's name"
    ordering = ("name",)
    nothing_yet = (
        "No webhook yet. One is an address that Hatchery posts to when a certificate is about to end, when a "
        "campaign stops, and so on: a chat, a pager, a ticket system."
    )

    made = when("created_at", "added", ordering=False)

    @admin.display(description="posts to")
    def shown_host(self, webhook: Webhook) -> str:
        return host_of(webhook)

    @labelled(description="enabled", label={"yes": "success", "no": "info"})
    def shown_enabled(self, webhook: Webhook) -> str:
        return "yes" if webhook.enabled else "no"

    @admin.display(description="told of")
    def shown_kinds(self, webhook: Webhook) -> str:
        return ", ".join(webhook.kinds) if webhook.kinds else "everything"

    def has_remove_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("pki.delete_webhook") and self.has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        views = {
            "test": self.test_view,
            "secret": self.secret_view,
            "new-secret": self.new_secret_view,
            "remove": self.remove_view,
        }
        own = [
            path(f"<path:object_id>/{word}/", wrap(views[word]), name=url_name(self, word.replace("-", "_")))
            for word in _DEEDS
        ]
        return own + list(super().get_urls())

    def told(self, request: HttpRequest, row: Webhook) -> HttpResponse:
        may_change = self.has_change_permission(request, row)
        may = {"change": may_change, "delete": self.has_remove_permission(request, row)}
        may_see_deliveries = request.user.has_perm("pki.view_delivery")
        latest = (
            row.deliveries.select_related("notice").order_by("-pk")[:_SHOWN] if may_see_deliveries else []
        )
        context = {
            **self.admin_site.each_context(request),
            "title": row.name,
            "opts": self.model._meta,
            "original": row,
            "webhook": row,
            # Many services hide their secret in the path.
            "shown_url": row.url if may_change else host_of(row),
            "kinds": [kind_in_words(kind) for kind in row.kinds],
            "buttons": [
                {"words": words, "style": style, "url": page_url(self, row, word.replace("-", "_"))}
                for word, (words, style, needs) in _DEEDS.items()
                if may[needs]
            ],
            "edit": page_url(self, row, "edit") if may_change else "",
            "may_see_deliveries": may_see_deliveries,
            "deliveries": latest if may_see_deliveries else [],
            "all_deliveries": link("pki_delivery_changelist", webhook__id__exact=str(row.pk)),
        }
        return TemplateResponse(request, "console/webhook.html", context)

    # --- Its record -------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied

        def act(cleaned: dict[str, Any]) -> str:
            actor, now = administrator(request), timezone.now()
            made = webhooks.add(cleaned["name"], cleaned["url"], cleaned["kinds"], actor, now)
            if not cleaned["enabled"]:
                webhooks.change(made, actor, now, enabled=False)
            return f"Added {made}. Its receiver needs its secret: see Show the secret, on its page."

        return ask_first(
            self,
            request,
            title="New webhook",
            question="Tell somebody of notices by a signed POST?",
            items=[],
            button="Add the webhook",
            act=act,
            form_class=WebhookForm,
            proved=True,
        )

    def edit_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook: Webhook = found(self, request, object_id, may=self.has_change_permission)
        initial = {name: getattr(webhook, name) for name in WebhookForm.base_fields}

        def act(cleaned: dict[str, Any]) -> str:
            webhooks.change(webhook, administrator(request), timezone.now(), **cleaned)
            return f"Changed {cleaned['name']}."

        return ask_first(
            self,
            request,
            title=f"Change {webhook}",
            question="What is it told of, and where?",
            items=[],
            button="Change the webhook",
            act=act,
            form_class=partial(WebhookForm, initial=initial),
            proved=True,
            back=page_url(self, webhook),
        )

    # --- Its deeds --------------------------------------------------------------------------------

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(webhook: Webhook) -> str:
            return _outcome(webhooks.send_test(webhook, administrator(request), timezone.now()))

        question = "Post a notice that says nothing to it, now and once? It takes ten seconds at most."
        return self._asked(request, object_id, "test", question, act)

    def secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(webhook: Webhook) -> HttpResponse:
            context = {
                **self.admin_site.each_context(request),
                "title": f"Secret of {webhook}",
                "opts": self.model._meta,
                "webhook": webhook,
                "secret": webhooks.show_secret(webhook, administrator(request), timezone.now()),
                "back": page_url(self, webhook),
            }
            response = TemplateResponse(request, "console/webhook_secret.html", context)
            response["Cache-Control"] = "no-store"
            return response

        question = "Show what its POSTs are signed with? Whoever has it can pass for Hatchery."
        return self._asked(request, object_id, "secret", question, act, proved=True)

    def new_secret_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(webhook: Webhook) -> str:
            webhooks.renew_secret(webhook, administrator(request), timezone.now())
            return "It has a new secret: give it to its receiver, which refuses everything until then."

        return self._asked(
            request,
            object_id,
            "new-secret",
            "Give it another secret? The one of now signs nothing any more, from this moment on.",
            act,
            impact=lambda _: ["Its receiver refuses what comes until it has the new one."],
            proved=True,
        )

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        def act(webhook: Webhook) -> HttpResponse:
            webhooks.remove(webhook, administrator(request), timezone.now())
            messages.success(request, f"Removed {webhook}.")
            return HttpResponseRedirect(list_url(self))

        return self._asked(
            request,
            object_id,
            "remove",
            "Tell it of nothing any more, and forget its deliveries?",
            act,
            impact=lambda _: ["What waits to be sent to it is not sent. The notices themselves stay."],
            destructive=True,
        )

    def _asked(
        self,
        request: HttpRequest,
        object_id: str,
        word: str,
        question: str,
        act: Callable[[Webhook], str | HttpResponse],
        **options: Any,
    ) -> HttpResponse:
        """Ask before a deed is done to a webhook, by who may do it; `options` are those of `ask_first`."""
        words, _, needs = _DEEDS[word]
        may = {"change": self.has_change_permission, "delete": self.has_remove_permission}
        webhook: Webhook = found(self, request, object_id, may=may[needs])
        return ask_first(
            self,
            request,
            title=f"{words}: {webhook}",
            question=question,
            items=[webhook],
            button=words,
            act=lambda _: act(webhook),
            back=page_url(self, webhook),
            **options,
        )

    def history_of(self, row: Webhook) -> dict[str, Any]:
        return {"about": f"webhook-{row.pk}"}


def host_of(webhook: Webhook) -> str:
    """Where it is, without the path, in which many services hide a secret."""
    parts = urlsplit(webhook.url)
    return f"{parts.scheme}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "") + "/…"


def _outcome(delivery: Delivery) -> str:
    if delivery.state == Delivery.State.DELIVERED:
        return f"It arrived: the answer was {delivery.status}."
    return f"It did not arrive: {delivery.error}"
