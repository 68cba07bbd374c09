"""The scripts, by the names of their files in ``lua``.

A script is one file. Its head describes what it does, its arguments and its reply, and
has two lines for this module::

    -- script: once, unconfirmed
    -- with: promise, read

``script`` names its flags. Each script has one of the first two:

``once``
    It recognizes a request that is sent again (``lua/once.lua``), changes nothing
    then, and replies as it did the first time. The name of the request is its last key
    and its last argument.
``repeatable``
    A second run changes nothing, and replies the same in all that matters.
``unconfirmed``
    Its reply promises nothing that is stored: replicas need not confirm it.

``with`` names the files with the text that comes before, including what these files
name; files without the line ``script`` are such parts. A script is sent by the hash of
its text.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final

import msgspec

_FOLDER = files("zaqarserver.storage.redis") / "lua"


class Script(msgspec.Struct, frozen=True):
    """A script, or flags of a plain command.

    Attributes:
        text: Its text, its parts included.
        sha: The hash of the text.
        once: Whether it takes the name of its request; see above.
        confirmed: Whether its reply waits until replicas have confirmed the change.
    """

    text: str = ""
    sha: str = ""
    once: bool = False
    confirmed: bool = True

    def with_text(self, text: str) -> Script:
        """Return a script of another text with the same flags."""
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        return msgspec.structs.replace(self, text=text, sha=sha)


def _words(source: str, key: str) -> list[str] | None:
    """Return the words of a line in the head of a file; ``None`` without the line."""
    for line in source.splitlines():
        if line.startswith(f"-- {key}: "):
            return line.partition(": ")[2].split(", ")
    return None


def _add_parts(name: str, parts: dict[str, str], sources: dict[str, str]) -> None:
    """Add a file after the files that it needs."""
    for part in _words(sources[name], "with") or []:
        if part not in parts:
            _add_parts(part, parts, sources)
    parts[name] = sources[name]


def _load() -> dict[str, Script]:
    sources = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in _FOLDER.iterdir()
        if file.name.endswith(".lua")
    }
    found = {}
    for name, source in sources.items():
        flags = _words(source, "script")
        if flags is None:
            continue
        once = "once" in flags
        if once is ("repeatable" in flags):
            raise ValueError(f"{name}.lua has to be one of once and repeatable")
        parts: dict[str, str] = {}
        if once:
            _add_parts("once", parts, sources)
        _add_parts(name, parts, sources)
        script = Script(once=once, confirmed="unconfirmed" not in flags)
        found[name] = script.with_text("\n".join(parts.values()))
    return found


#: By name.
SCRIPTS: Final = _load()
