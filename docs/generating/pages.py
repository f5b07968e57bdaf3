"""Which pages there are."""

from collections.abc import Callable
from pathlib import Path

from docs.generating import commands, endpoints, errors, models, settings

FOLDER = Path(__file__).resolve().parent.parent / "reference"
PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings.settings_page,
    "commands.md": commands.commands_page,
    "endpoints.md": endpoints.endpoints_page,
    "errors.md": errors.errors_page,
    "models.md": models.models_page,
}
