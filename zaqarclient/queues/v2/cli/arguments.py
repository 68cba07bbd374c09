"""Arguments of commands as data, and those that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from zaqarclient.queues.v2.cli.argument_types import integer

_Container: TypeAlias = argparse.ArgumentParser | argparse._ArgumentGroup  # noqa: SLF001 - a group has no public name


class Argument(NamedTuple):
    """One argument of a command; `arg` and `flag` make it.

    Attributes:
        names: The spellings of an option, or the name of a positional argument.
        settings: As for `argparse.ArgumentParser.add_argument`.
        queues_only: Topics do not have it.
        old_spelling: An option ``--like-this`` is also accepted, but not shown, as
            ``--like_this``, the spelling of earlier versions.
        anywhere: An optional positional argument that may also follow options.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    queues_only: bool = False
    old_spelling: bool = False
    anywhere: bool = False

    def add_to(self, container: _Container, kind: str = "queue") -> None:
        """Add it to a parser or group.

        Args:
            container: The parser or group.
            kind: ``queue``, or ``topic``: its help then names topics.
        """
        if self.queues_only and kind != "queue":
            return
        settings = dict(self.settings)
        for name in ("metavar", "help"):
            if name in settings:
                settings[name] = settings[name].replace("queue", kind)
        action = container.add_argument(*self.names, **settings)
        if self.old_spelling:
            # Whichever spelling is left out, the default is that of the first.
            hidden = {"default": argparse.SUPPRESS, "help": argparse.SUPPRESS}
            container.add_argument(self._old_name, **settings | hidden)
        if self.anywhere and isinstance(container, argparse.ArgumentParser):
            _take_anywhere(container, action)

    @property
    def _old_name(self) -> str:
        return "--" + self.names[0].removeprefix("--").replace("-", "_")


class Group(NamedTuple):
    """Arguments under a title, or without one: at most one of them may be given."""

    arguments: tuple[Argument, ...]
    title: str | None = None
    required: bool = False

    def add_to(self, container: _Container, kind: str = "queue") -> None:
        """Add them to a parser or group; see `Argument.add_to`."""
        group: _Container
        if self.title is None:
            group = container.add_mutually_exclusive_group(required=self.required)
        else:
            group = container.add_argument_group(self.title.replace("queue", kind))
        for argument in self.arguments:
            argument.add_to(group, kind)


Arguments: TypeAlias = tuple[Argument | Group, ...]


def arg(
    name: str,
    text: str,
    convert: Callable[[str], Any] | None = None,
    *,
    also: Sequence[str] = (),
    queues_only: bool = False,
    old_spelling: bool = False,
    anywhere: bool = False,
    **settings: Any,
) -> Argument:
    """Return an argument that takes a value.

    Args:
        name: ``--name``, or the name of a positional argument.
        text: The help.
        convert: The argument type; None for text.
        also: Further spellings.
        queues_only: See `Argument`.
        old_spelling: See `Argument`.
        anywhere: See `Argument`.
        **settings: Further settings of `argparse`; the placeholder is by default the
            name in angle brackets, or the choices if there are any.
    """
    if not {"choices", "metavar"} & settings.keys():
        placeholder = f"<{name.removeprefix('--').replace('-', '_')}>"
        settings["metavar"] = getattr(convert, "placeholder", placeholder)
    if convert is not None:
        settings["type"] = convert
    settings["help"] = text
    return Argument((name, *also), settings, queues_only, old_spelling, anywhere)


def flag(name: str, text: str, **settings: Any) -> Argument:
    """Return an option that takes no value; the arguments are those of `arg`."""
    made = arg(name, text, **{"action": "store_true", **settings})
    del made.settings["metavar"]
    return made


def one_of(*arguments: Argument, required: bool = False) -> Group:
    """Return arguments of which at most one, or exactly one, may be given."""
    return Group(arguments, required=required)


def _take_anywhere(parser: argparse.ArgumentParser, action: argparse.Action) -> None:
    """Accept the last positional argument after options too, though it is optional.

    To argparse an optional positional is missing as soon as an option follows the
    positional before it.
    """
    parse = parser.parse_known_args

    def parse_known_args(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        parsed, rest = parse(args, namespace)
        last = rest[0] if len(rest) == 1 else "--"
        if getattr(parsed, action.dest) is None and (last == "-" or last[:1] != "-"):
            text = rest.pop()
            try:
                value = action.type(text) if callable(action.type) else text
            except argparse.ArgumentTypeError as error:
                parser.error(f"argument {action.metavar}: {error}")
            setattr(parsed, action.dest, value)
        return parsed, rest

    parser.parse_known_args = parse_known_args  # type: ignore[method-assign,assignment]  # this parser only


# -- values of arguments ---------------------------------------------------------


def present(**values: Any) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


# -- arguments of several commands -------------------------------------------------

QUEUE: Final = arg("queue_name", "Name of the queue")

YES: Final = flag(
    "-y", "Do not ask; without a terminal nothing is asked anyway", also=["--yes"]
)


def targets(dest: str, text: str) -> tuple[Argument, Argument]:
    """Return the arguments that name one or more things to work on.

    Args:
        dest: The name of the first, which is one text as it always was.
        text: The help for the first.
    """
    more = arg("more", "Further ones", metavar=f"<{dest}>", nargs="*", default=[])
    return arg(dest, text), more


def given_targets(parsed_args: argparse.Namespace, dest: str) -> list[str]:
    """Return the names that the arguments of `targets` have."""
    return [getattr(parsed_args, dest), *parsed_args.more]


#: What commands that show points in time take.
UTC: Final = flag("--utc", "Show points in time as 2026-11-30T08:55:13Z, not in words")

FAIL_IF_EMPTY: Final = flag("--fail-if-empty", "End with status 6 if there is nothing")


def paging(marker: str, meaning: str) -> Arguments:
    """Return ``--marker``, ``--limit`` and ``--all``.

    Args:
        marker: Placeholder of the marker.
        meaning: The help for the marker.
    """
    return (
        arg("--marker", meaning, metavar=f"<{marker}>"),
        arg(
            "--limit",
            "Show at most this many, asking for as many pages as that needs; "
            "0 shows all (default: one page of the service, 10)",
            integer(0),
        ),
        flag(
            "--all",
            "Show all; the same as --limit 0",
            action="store_const",
            const=0,
            dest="limit",
        ),
        FAIL_IF_EMPTY,
    )
