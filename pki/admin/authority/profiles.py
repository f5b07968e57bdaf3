from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from pki.admin.authority import profile_drafting, profile_words
from pki.admin.authority.profile_form import ProfileForm
from pki.admin.parts.asking import administrator
from pki.admin.parts.pages import ConsoleAdmin, on_page
from pki.admin.parts.proving import ProvedFirst
from pki.admin.parts.shown import labelled
from pki.admin.parts.spans import IN_SECONDS, written
from pki.models import Profile
from pki.services.issuing import profiles


@admin.register(Profile)
class ProfileAdmin(ProvedFirst, ConsoleAdmin):
    form = ProfileForm
    change_form_template = "console/profile.html"
    list_display = ("name", "issuer", "policy", "lives", "usages", "keys")
    list_filter = ("enrollment_policy", "issuer")
    list_select_related = ("issuer",)
    search_fields = ("name__begins",)
    search_help_text = "The beginning of a profile's name"
    ordering = ("name",)
    actions_list = ("from_cnf",)
    fieldsets = (
        (None, {"fields": ("name", "issuer", "enrollment_policy")}),
        ("Certificates", {"fields": ("lifetime_seconds", "key_kinds", "extended_key_usages")}),
        ("What a CSR may choose", {"fields": ("subject_from_request", "sans_from_request")}),
        (
            "Renewal",
            {"fields": ("renew_same_key", "supersede_after_minutes", "grace_hours", "warn_days")},
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Profile | None = None) -> Any:
        names, *others = super().get_fieldsets(request, obj)
        if self.has_change_permission(request, obj):
            names = (None, {"fields": (*names[1]["fields"], "knows_open")})
        return [names, *others]

    @labelled(description="enrollment", label={"token": "success", "approval": "info", "open": "danger"})
    def policy(self, profile: Profile) -> str:
        return profile.enrollment_policy

    @admin.display(description="lifetime")
    def lives(self, profile: Profile) -> str:
        return written(profile.lifetime_seconds, IN_SECONDS)

    @admin.display(description="good for")
    def usages(self, profile: Profile) -> str:
        return ", ".join(profile.extended_key_usages)

    @admin.display(description="keys")
    def keys(self, profile: Profile) -> str:
        return ", ".join(profile.key_kinds)

    def history_of(self, row: Profile) -> dict[str, Any]:
        return {"kind": "profile.saved"}

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return profile_drafting.initial(request)

    @on_page(description="From an OpenSSL .cnf", url_path="from-cnf", permissions=["add"])
    def from_cnf(self, request: HttpRequest) -> HttpResponse:
        return profile_drafting.from_cnf(self, request)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any
    ) -> Any:
        profile: Profile | None = options.get("obj")
        context["links"] = list(_links(request, profile)) if profile is not None else []
        context["sentences"] = list(profile_words.sentences(profile)) if profile is not None else []
        context["is_open"] = profile is not None and profile.enrollment_policy == Profile.Policy.OPEN
        return super().render_change_form(request, context, *args, **options)

    def save_model(self, request: HttpRequest, obj: Profile, form: Any, change: bool) -> None:
        profiles.save(obj, form.changed_data, administrator(request), timezone.now())


def _links(request: HttpRequest, profile: Profile) -> Any:
    """The lists of what belongs to a profile, as far as the user may see them."""
    if request.user.has_perm("pki.view_issuer"):
        yield f"Issuer: {profile.issuer}", reverse("admin:pki_issuer_change", args=[profile.issuer_id])
    for model, words in (("device", "Its devices"), ("certificate", "Its certificates")):
        if request.user.has_perm(f"pki.view_{model}"):
            address = reverse(f"admin:pki_{model}_changelist")
            yield words, f"{address}?profile__id__exact={profile.pk}"
