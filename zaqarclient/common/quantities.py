"""Times and sizes as people write and read them: ``15m``, ``64k``, ``4 min 12 s``."""

from __future__ import annotations

import re
from typing import Final

#: Seconds of each unit of time, the largest first.
_TIMES: Final = {"d": 86400, "h": 3600, "m": 60, "s": 1, "": 1}
_TIME_WORDS: Final = {"d": "d", "h": "h", "m": "min", "s": "s"}
#: Bytes of each unit of size.
_SIZES: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}

_QUANTITY: Final = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)([a-z]?)", re.ASCII)


def seconds(text: str) -> float:
    """Return the seconds of a time such as ``90``, ``1.5``, ``90s``, ``15m`` or ``7d``.

    Raises:
        ValueError: It is not a time.
    """
    return _quantity(text, _TIMES)


def size(text: str) -> float:
    """Return the bytes of a size such as ``300``, ``64k`` or ``1M`` (1024 * 1024).

    Raises:
        ValueError: It is not a size.
    """
    return _quantity(text.lower(), _SIZES)


def in_words(seconds: float) -> str:
    """Return a time of 0 or more seconds in its two largest units: ``4 min 12 s``."""
    rest = round(seconds)
    parts: list[str] = []
    for unit, word in _TIME_WORDS.items():
        count, rest = divmod(rest, _TIMES[unit])
        if count or parts:
            parts.append(f"{count} {word}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def _quantity(text: str, units: dict[str, int]) -> float:
    found = _QUANTITY.fullmatch(text)
    if found is None or found[2] not in units:
        raise ValueError(f"{text!r} has another form")
    number = float(found[1]) if "." in found[1] else int(found[1])
    return number * units[found[2]]
