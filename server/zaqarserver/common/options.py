"""Settings, each described once: a field of a dataclass is a configuration option.

A group of settings is a dataclass; :func:`setting` makes a field of it. The options
of ``oslo.config``, the sample and the reference are derived from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Final, TypeVar

from oslo_config import cfg

from zaqarserver.errors import SettingsError

T = TypeVar("T")

_OPTION: Final = "option"
_FILES: Final = ("cafile", "certfile", "keyfile")
_KINDS: Final = {
    bool: cfg.BoolOpt,
    int: cfg.IntOpt,
    float: cfg.FloatOpt,
    str: cfg.StrOpt,
    NoneType: cfg.StrOpt,
    tuple: cfg.ListOpt,
    dict: cfg.DictOpt,
}


def setting(
    default: T,
    text: str,
    kind: Callable[..., cfg.Opt] | None = None,
    **facts: Any,
) -> T:
    """Return a dataclass field that is an option.

    Args:
        default: The value where none is given.
        text: The help, in full sentences.
        kind: The class of the option; by default the one for the default's type.
        facts: Other arguments of the option, such as ``min``, ``choices``, ``secret``.
    """
    plain = list(default) if isinstance(default, tuple) else default
    option = partial(kind or _KINDS[type(default)], default=plain, help=text, **facts)
    made: T = dataclasses.field(
        default_factory=lambda: default,
        repr=not facts.get("secret"),
        metadata={_OPTION: option},
    )
    return made


def options(*groups: type) -> list[cfg.Opt]:
    """Return the options of dataclasses in the order of their fields.

    Inherited fields are left out.
    """
    return [
        field.metadata[_OPTION](field.name)
        for group in groups
        for field in dataclasses.fields(group)
        if field.name in group.__annotations__ and _OPTION in field.metadata
    ]


def values(group: type, section: Any) -> dict[str, Any]:
    """Return the configured values of a dataclass's own settings, by field.

    Args:
        group: The dataclass.
        section: Its group in the configuration.
    """
    found = {option.dest: section[option.dest] for option in options(group)}
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
    }


def check_files(group: str, section: Any) -> None:
    """Refuse TLS files of a group that do not exist.

    Raises:
        SettingsError: A file is missing; the text names the setting.
    """
    for name in _FILES:
        path = section[name]
        if path and not Path(path).is_file():
            raise SettingsError(f"[{group}] {name}: the file {path} does not exist.")


def missing(needed: Iterable[str], section: Any) -> str:
    """Return the first required setting without a value, or an empty text.

    Args:
        needed: Names, or several joined by ``or``, of which one is enough.
        section: The values by name.
    """
    for choice in needed:
        if not any(section[name] for name in choice.split(" or ")):
            return choice
    return ""
