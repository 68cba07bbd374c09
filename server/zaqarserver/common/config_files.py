"""Where a setting is written: file and line, or variable of the environment."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from oslo_config import cfg

_SECTION = re.compile(r"\[(.+)\]\s*\Z")
_ASSIGNMENT = re.compile(r"([^\s#;:=\[][^:=]*?)\s*[:=]")
_VARIABLE = re.compile(r"OS_([A-Z0-9_:]+?)__([A-Z0-9_]+)\Z")


class Assignment(NamedTuple):
    """A setting as it is written.

    Attributes:
        place: The file with the line, or the variable.
        group: The group, in lower case but for ``DEFAULT``.
        name: The option, with ``_`` for ``-``.
    """

    place: str
    group: str
    name: str


def files_of(conf: cfg.ConfigOpts) -> list[Path]:
    """Return the files that a configuration was read from, in their order."""
    found = [Path(name) for name in conf.config_file or ()]
    for folder in conf.config_dir or ():
        found += sorted(Path(folder).glob("*.conf"))
    return found


def assignments(conf: cfg.ConfigOpts) -> Iterator[Assignment]:
    """Yield what the files and the environment set; later ones win."""
    for path in files_of(conf):
        yield from _in_file(path)
    for variable in sorted(os.environ):
        found = _VARIABLE.match(variable)
        if found:
            yield Assignment(variable, _group(found[1]), found[2].lower())


def _in_file(path: Path) -> Iterator[Assignment]:
    group = "DEFAULT"
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if section := _SECTION.match(line):
            group = _group(section[1])
            # Without an option: a section may be unknown although it is empty.
            yield Assignment(f"{path} line {number}", group, "")
        elif setting := _ASSIGNMENT.match(line):
            name = setting[1].replace("-", "_")
            yield Assignment(f"{path} line {number}", group, name)


def _group(text: str) -> str:
    return "DEFAULT" if text == "DEFAULT" else text.lower()


def names_of(group: str, option: cfg.Opt) -> set[tuple[str, str]]:
    """Return all names under which an option can be written, as group and name."""
    former = {
        (one.group or group, (one.name or option.name).replace("-", "_"))
        for one in option.deprecated_opts
    }
    return {(group, option.dest), *former}


def place_of(conf: cfg.ConfigOpts, group: str, option: cfg.Opt) -> str:
    """Return where an option is set: a place and ``: ``, or nothing."""
    names = names_of(group, option)
    found = [one.place for one in assignments(conf) if one[1:] in names]
    return f"{found[-1]}: " if found else ""


def unknown(
    conf: cfg.ConfigOpts, options: Iterable[tuple[str, Sequence[cfg.Opt]]]
) -> Iterator[tuple[Assignment, str]]:
    """Yield what is set and not known, with a text that says what may be meant.

    Args:
        conf: The configuration; what is registered there is known.
        options: More options, by group: with their former names.
    """
    known = {
        name
        for group, found in options
        for one in found
        for name in names_of(group, one)
    }
    known |= {(group, name) for group in conf for name in _registered(conf, group)}
    groups = {group for group, _ in known}
    for one in assignments(conf):
        if one.group in groups:
            if one.name and one[1:] not in known:
                names = [name for group, name in known if group == one.group]
                text = f"[{one.group}] has no option {one.name}"
                yield one, text + _meant(one.name, names, "{}")
        elif not one.name:
            text = f"there is no section [{one.group}]"
            yield one, text + _meant(one.group, groups, "[{}]")


def _registered(conf: cfg.ConfigOpts, group: str) -> Iterable[str]:
    found = conf[group]
    return found if isinstance(found, cfg.ConfigOpts.GroupAttr) else ()


def _meant(text: str, known: Iterable[str], form: str) -> str:
    close = difflib.get_close_matches(text, sorted(known), 1)
    return f"; did you mean {form.format(close[0])}?" if close else ""


_REASONS = (
    (
        re.compile(r"invalid literal for int\(\) with base 10: (.*)"),
        r"\1 is not an integer",
    ),
    (re.compile(r"could not convert string to float: (.*)"), r"\1 is not a number"),
    (
        re.compile(r"Valid values are \[(?:, )?(.*)\], but found (.*)"),
        r"\2 is not one of \1",
    ),
    (re.compile(r"Unexpected boolean value (.*)"), r"\1 is not true or false"),
)


def reason_of(error: Any) -> str:
    """Return what is wrong with a value, from the error of ``oslo.config``."""
    text = str(error).rpartition(" is not valid: ")[2]
    for pattern, plain in _REASONS:
        text = pattern.sub(plain, text)
    return text
