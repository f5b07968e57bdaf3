"""People and their roles: superusers change them, auditors read them."""

from copy import copy
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from pki.admin.parts.asking import administrator, ask_first
from pki.admin.parts.objects import found
from pki.admin.parts.pages import Listed, ReadOnlyAdmin, on_page
from pki.admin.parts.paging import InfinitePaginator
from pki.admin.parts.proving import ProvedFirst, proving
from pki.admin.parts.shown import counted, when
from pki.models import LoginKey
from pki.services import audit
from pki.services.people import logins
from pki.services.transactions import writing

admin.site.unregister(User)
admin.site.unregister(Group)


class ForSuperusers(ProvedFirst, Listed):
    """Pages that only superusers change, whatever permissions somebody was given; each change is recorded.

    Who could change users could make himself a superuser, or set a superuser's password; so could who finds
    a superuser's console open, and a recent login is needed.
    """

    paginator = InfinitePaginator
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, "added", obj, message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        self._record(request, "changed", obj, message)
        return super().log_change(request, obj, message)

    def _record(self, request: HttpRequest, deed: str, obj: Any, message: Any) -> None:
        audit.record(
            f"{self.model._meta.model_name}.{deed}",
            administrator(request),
            timezone.now(),
            name=str(obj),
            # The names of fields and never their values.
            fields=_fields(message),
            roles=[str(each) for each in obj.groups.all()] if isinstance(obj, User) else None,
            superuser=obj.is_superuser if isinstance(obj, User) else None,
        )


def _fields(message: Any) -> list[str]:
    """What Django's message on a change says was changed."""
    if isinstance(message, str):
        return [message]
    return [str(field) for entry in message for field in entry.get("changed", {}).get("fields", [])]


class LoginKeyForm(forms.Form):
    """Which certificate's key shall log a user in."""

    certificate = forms.CharField(
        max_length=20_000,
        widget=UnfoldAdminTextareaWidget,
        help_text="The certificate in PEM, or its SHA-256 fingerprint, or its serial; issued here. "
        "Later certificates for the same key log in too, those for a new key do not.",
    )
    name = forms.CharField(
        max_length=64, widget=UnfoldAdminTextInputWidget, help_text="What it is: Ada's laptop."
    )

    def clean_certificate(self) -> Any:
        try:
            return logins.find_certificate(self.cleaned_data["certificate"], timezone.now())
        except logins.KeyRefused as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ForSuperusers):  # type: ignore[misc, type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    change_user_password_template = "console/change_password.html"  # noqa: S105  a template
    list_display = ("username", "email", "first_name", "last_name", "is_active", "is_superuser")
    list_filter = ("is_superuser", "is_active", "groups")
    actions_detail = ("add_login_key",)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        if obj is None:  # Django's would not ask the pages that it builds on
            return self.proved_fieldsets(request, obj, self.add_fieldsets)
        return super().get_fieldsets(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # The audit trail names people; one who leaves is made inactive.
        return False

    @method_decorator(sensitive_post_parameters())
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        # Django makes the form without the request; the page of this request has one that knows it.
        page = copy(self)
        page.change_password_form = proving(AdminPasswordChangeForm, request)
        response: HttpResponse = super(UserAdmin, page).user_change_password(request, id, form_url)
        return response

    def has_login_key_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.is_superuser

    @on_page(description="Add a login key", url_path="add-login-key", icon="key", permissions=["login_key"])
    def add_login_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        user = self.get_object(request, object_id)
        if user is None:
            raise Http404
        if not request.user.is_superuser:
            raise PermissionDenied

        def act(cleaned: dict[str, Any]) -> str:
            key = logins.add_key(
                user, cleaned["certificate"], cleaned["name"], administrator(request), timezone.now()
            )
            return f"{key.name} now logs {user.get_username()} in."

        return ask_first(
            self,
            request,
            title=f"Login key for {user.get_username()}",
            question="Let whoever has this key log in as this user, without a password?",
            items=[user],
            button="Add the key",
            act=act,
            form_class=LoginKeyForm,
            destructive=True,
        )


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ForSuperusers):  # type: ignore[misc]
    """Django calls them groups; here groups are of devices."""

    plural = "roles"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        title = "Change role" if object_id else "Add role"
        response: HttpResponse = super().changeform_view(
            request, object_id, form_url, {"title": title, **(extra_context or {})}
        )
        return response

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {}  # roles are deleted on their pages, one by one

    def has_delete_permission(self, request: HttpRequest, obj: Group | None = None) -> bool:
        # Whoever has a role that is deleted can do nothing any more, and nobody would have been asked.
        in_use = obj is not None and obj.user_set.exists()
        return request.user.is_superuser and not in_use

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Delete a role that nobody has."""
        group: Group = found(self, request, object_id, may=self.has_view_permission)
        if not self.has_delete_permission(request, group):
            raise PermissionDenied

        def act(_: dict[str, Any]) -> str:
            with writing():
                self._record(request, "deleted", group, [])
                group.delete()
            return f"The role {group} is deleted."

        return ask_first(
            self,
            request,
            title="Delete a role",
            question="Delete this role? Nobody has it.",
            items=[group],
            button="Delete",
            act=act,
            destructive=True,
        )


@admin.register(LoginKey)
class LoginKeyAdmin(ReadOnlyAdmin):
    list_display = ("name", "user", "shown_at", "created_by")
    list_select_related = ("user",)
    search_fields = ("spki_sha256__begins", "user__username__begins")
    search_help_text = "The beginning of a user's name, or of the key's SPKI (SHA-256, hex)"
    ordering = ("-pk",)
    actions = ("remove_selected",)
    nothing_yet = "No login key yet. A superuser adds one on the page of a user, with “Add a login key”."
    fields = ("name", "user", "spki_sha256", "shown_at", "created_by")
    readonly_fields = ("shown_at",)

    shown_at = when("created_at", "added", ordering=False)

    def has_remove_permission(self, request: HttpRequest) -> bool:
        return request.user.is_superuser

    @admin.action(description="Remove", permissions=["remove"])
    def remove_selected(self, request: HttpRequest, queryset: QuerySet[LoginKey]) -> HttpResponse:
        def act(_: dict[str, Any]) -> str:
            keys = list(queryset.select_related("user"))
            for key in keys:
                logins.remove_key(key, administrator(request), timezone.now())
            return counted("Removed", len(keys), "login key")

        return ask_first(
            self,
            request,
            title="Remove login keys",
            question="Remove these keys? Sessions that they began end at their next request.",
            items=queryset,
            button="Remove",
            act=act,
            destructive=True,
        )
