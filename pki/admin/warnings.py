"""What the console says on every page while something is dangerous."""

from django.http import HttpRequest

from pki.services.issuing.profiles import open_profiles


def environment_label(request: HttpRequest) -> list[str] | None:
    """For unfold's header: a red label while a profile signs for anybody."""
    names = open_profiles()
    return [f"OPEN ENROLLMENT: {', '.join(names)}", "danger"] if names else None
