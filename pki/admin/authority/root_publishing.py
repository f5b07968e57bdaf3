"""Of the page of a root: telling devices to trust it before anything hangs on it, and taking that back."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone

from pki.admin.authority.issuer_deeds import IssuerDeeds
from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found, page_url, url_name
from pki.models import Issuer
from pki.services.trusting import published_roots
from pki.services.trusting.anchors import anchors, needed


class PublishesRoots(IssuerDeeds):
    """The pages that put a root into the trust bundle and take it out again."""

    def get_urls(self) -> list[URLPattern]:
        urls: list[URLPattern] = super().get_urls()
        views = {"publish_root": self.publish_root_view, "withdraw_root": self.withdraw_root_view}
        own = [
            path(
                f"<path:object_id>/{name.replace('_', '-')}/",
                self.admin_site.admin_view(view),
                name=url_name(self, name),
            )
            for name, view in views.items()
        ]
        return [*own, *urls]

    def publish_root_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have devices told to trust a root."""
        root: Issuer = found(self, request, object_id, may=self.has_deed_permission)

        def act(_: dict[str, Any]) -> str:
            published_roots.publish(root, administrator(request), timezone.now())
            return f"{root} is in the trust bundle within a minute. Devices have it when they fetched that."

        return ask_first(
            self,
            request,
            title=f"Publish in the trust bundle: {root}",
            question="Tell all devices to trust this root when they check our listeners?",
            items=[root],
            button="Publish it",
            act=act,
            impact=lambda _: [
                "Whoever has its key can play our servers to every device from then on.",
                "Nothing else changes. Once the devices have the new trust bundle, the profile server may be "
                "given an issuer below this root.",
            ],
            destructive=True,
            back=page_url(self, root),
        )

    def withdraw_root_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take that back."""
        root: Issuer = found(self, request, object_id, may=self.has_deed_permission)

        def act(_: dict[str, Any]) -> str:
            published_roots.withdraw(root, administrator(request), timezone.now())
            return f"{root} is published no more, unless a root that is leads to it."

        return ask_first(
            self,
            request,
            title=f"Take out of the trust bundle: {root}",
            question="Tell devices no more to trust this root?",
            items=[root],
            button="Take it out",
            act=act,
            impact=lambda _: ["Devices that fetched the trust bundle drop it when they fetch the next one."],
            destructive=True,
            back=page_url(self, root),
        )

    def publishing(self, request: HttpRequest, issuer: Issuer) -> dict[str, Any]:
        """What the template is given: since when devices are told of a root, and the deed that fits."""
        if not issuer.is_root:
            return {}
        told = issuer in anchors(timezone.now()).trusted
        deed = _deed(issuer, told) if self.has_deed_permission(request, issuer) else ""
        return {
            "published": published_roots.since(issuer),
            "is_next": told,
            "publish_root": page_url(self, issuer, "publish_root") if deed == "publish" else "",
            "withdraw_root": page_url(self, issuer, "withdraw_root") if deed == "withdraw" else "",
        }


def _deed(root: Issuer, told: bool) -> str:
    now = timezone.now()
    if root.published_at is not None:
        return "" if root.pk in needed(now) else "withdraw"
    may_sign = root.state == Issuer.State.ACTIVE and root.not_after > now
    return "publish" if may_sign and not told else ""
