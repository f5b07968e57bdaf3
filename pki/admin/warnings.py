"""What the console says on every page while something is dangerous."""

from django.http import HttpRequest

from pki.services.profiles import open_profiles


def environment_label(request: HttpRequest) -> list[str] | None:
    """For unfold's header: a red label while a profile signs for anybody."""
    names = open_profiles()
    return [f"OPEN ENROLLMENT: {', '.join(names)}", "danger"] if names else None


def global_context(request: HttpRequest) -> dict[str, list[str]]:
    """For the banner of `templates/admin/base.html`, for people who are logged in."""
    return {"open_profiles": open_profiles() if request.user.is_authenticated else []}
