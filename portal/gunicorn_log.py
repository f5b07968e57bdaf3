"""gunicorn's own lines, in JSON as well if that is wanted. Apart, so that only a server imports gunicorn."""

from typing import Any

from django.conf import settings
from gunicorn.glogging import Logger

from portal.log_format import Json


class GunicornLog(Logger):  # type: ignore[misc]  # gunicorn has no types
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        if settings.PORTAL_LOG_FORMAT == "json":
            for handler in self.error_log.handlers:
                handler.setFormatter(Json())
