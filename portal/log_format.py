"""How a line of the log is written: as text or as a JSON object, with the name of the request it is about."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

from pki.endpoints import request_ids


class Line(logging.Formatter):
    """Text, and at its end `request=` with the request's name."""

    def __init__(self) -> None:
        super().__init__("{asctime} {levelname} {name} {message}", style="{")

    def formatMessage(self, record: logging.LogRecord) -> str:
        name = request_ids.current()
        return super().formatMessage(record) + (f" request={name}" if name else "")


class Json(logging.Formatter):
    """One JSON object a line, whatever the message holds: JSON escapes line breaks."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "request": request_ids.current() or None,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in said.items() if value is not None}, default=str)
