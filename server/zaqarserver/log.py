"""Logs, as text or JSON lines, with the request id on each line."""

from __future__ import annotations

import contextvars
import logging
import random
import sys
import time

import msgspec

request_id_var: contextvars.ContextVar[str] = contextvars.ContextVar(
    "request_id", default="-"
)

_TEXT = "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"


def new_request_id() -> str:
    """Return a request id as OpenStack services write it."""
    text = f"{random.getrandbits(128):032x}"
    return f"req-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class _RequestId(logging.Filter):
    """Puts the request id of the running task on a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; let every record pass."""
        record.request_id = request_id_var.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON text."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry).decode()


def set_up(*, as_json: bool, level: str) -> None:
    """Send all logs to stderr.

    Args:
        as_json: JSON lines instead of text.
        level: The least level that is shown, by name.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_RequestId())
    if as_json:
        handler.setFormatter(JsonFormatter())
    else:
        formatter = logging.Formatter(_TEXT)
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # The server says itself what is worth saying about its life.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").disabled = True
