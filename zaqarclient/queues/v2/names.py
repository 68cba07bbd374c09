"""The names that queues may have."""

from __future__ import annotations

import re

__all__ = ["QUEUE_NAME_REGEX", "check_name"]

QUEUE_NAME_REGEX = re.compile(r"^[a-zA-Z0-9_\-.]+$")

_LENGTH = 64


def check_name(name: object, kind: str = "queue") -> None:
    """Refuse what the service would take for another path, or not at all.

    Args:
        name: The name; what is no text counts as its ``str()``.
        kind: What it names, for the words of the error.

    Raises:
        ValueError: It is not 1 to 64 ASCII letters, digits, ``_``, ``-`` and
            ``.``.
    """
    text = "" if name is None else str(name)
    if not text:
        raise ValueError(f"{kind.capitalize()} name does not have a value")
    if not QUEUE_NAME_REGEX.fullmatch(text) or text in {".", ".."}:
        raise ValueError(
            f"The {kind} name may only contain ASCII letters, digits, "
            "underscores, dashes and dots"
        )
    if len(text) > _LENGTH:
        raise ValueError(f"The {kind} name may have {_LENGTH} characters at most")
