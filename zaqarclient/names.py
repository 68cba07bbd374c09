"""The names that the service knows, and close ones for those that it does not.

The service ignores members that it does not know, so a typing mistake changes what a
call does without an error. The SDK warns of such names (`UnknownNameWarning`) and the
commands refuse them; both ask here.
"""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

C = TypeVar("C", bound=type[Any])
F = TypeVar("F", bound="Callable[..., Any]")

_CLOSE = 0.6
_VERY_CLOSE = 0.8
_PART = 3
"""The fewest letters of a part of a name for which the name is suggested."""
_SHOWN = 12
"""The most names to list where none is close."""


class UnknownNameWarning(UserWarning):
    """A name that the service does not know and ignores, such as a mistyped one.

    Programs that want an error use
    ``warnings.simplefilter("error", zaqarclient.UnknownNameWarning)``.
    """


class KnownNames(NamedTuple):
    """The names of one kind of members.

    Attributes:
        kind: What a name is, as ``member of a message``.
        names: The known ones.
        prefix: How a name begins that has to be known; others may be chosen freely.
    """

    kind: str
    names: frozenset[str]
    prefix: str = ""

    def problems(self, given: Iterable[object]) -> list[str]:
        """Return a sentence for each name that is not known, mostly none.

        Args:
            given: The names, as a mapping that has them as keys.
        """
        unknown = [
            str(name)
            for name in given
            if name not in self.names and str(name).startswith(self.prefix)
        ]
        return [
            f"unknown {self.kind} {name!r}: {hint(name, self.names)}"
            for name in unknown
        ]

    def warn(self, given: Iterable[object]) -> None:
        """Warn the caller of this package of each name that is not known."""
        warn_of(self.problems(given))


MESSAGE = KnownNames("member of a message", frozenset({"body", "ttl", "delay"}))
SUBSCRIPTION = KnownNames(
    "member of a subscription", frozenset({"subscriber", "ttl", "options", "paused"})
)
SUBSCRIPTION_OPTIONS = KnownNames(
    "option of a subscription",
    frozenset(
        {
            "_retry_policy",
            "filter",
            "from",
            "max_in_flight",
            "post_data",
            "post_headers",
            "subject",
            "trust_given",
            "trust_id",
        }
    ),
)
RETRY_POLICY = KnownNames(
    "member of _retry_policy",
    frozenset(
        {
            "ignore_subscription_override",
            "maximum_delay",
            "maximum_delay_retries",
            "minimum_delay",
            "minimum_delay_retries",
            "retries_with_no_delay",
            "retry_backoff_function",
        }
    ),
)
METADATA = KnownNames(
    "metadata key",
    frozenset(
        {
            "_dead_letter_queue",
            "_dead_letter_queue_messages_ttl",
            "_default_message_delay",
            "_default_message_ttl",
            "_enable_encrypt_messages",
            "_flavor",
            "_max_claim_count",
            "_max_messages_post_size",
            "_retry_policy",
        }
    ),
    prefix="_",
)
CONF = KnownNames(
    "key of conf",
    frozenset(
        {
            "auth_opts",
            "client_uuid",
            "max_retry_after",
            "on_answer",
            "retries",
            "session",
            "timeout",
            "user_agent",
        }
    ),
)


def option_problems(options: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each unknown name in options of a subscription."""
    found = SUBSCRIPTION_OPTIONS.problems(options or ())
    return found + RETRY_POLICY.problems((options or {}).get("_retry_policy") or ())


def metadata_problems(metadata: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence for each unknown reserved name in metadata."""
    found = METADATA.problems(metadata or ())
    return found + RETRY_POLICY.problems((metadata or {}).get("_retry_policy") or ())


def hint(name: str, known: Collection[str]) -> str:
    """Return ``did you mean 'echo'?``, or what there is if no known name is close."""
    close = closest(name, known)
    if close is not None:
        return f"did you mean {close!r}?"
    listed = ", ".join(sorted(known)[:_SHOWN])
    return f"known are {listed}" + (", …" if len(known) > _SHOWN else "")


def closest(name: str, known: Iterable[str], cutoff: float = _CLOSE) -> str | None:
    """Return the known name that a mistyped or shortened one most likely means.

    Args:
        name: The name that is not known.
        known: Those that are.
        cutoff: How alike they have to be, from 0 to 1.
    """
    import difflib  # noqa: PLC0415 - only when something is wrong

    spelled = {one.lower(): one for one in sorted(known, reverse=True)}
    given = name.lower()
    if found := difflib.get_close_matches(given, spelled, 1, cutoff):
        return spelled[found[0]]
    part = given.strip("_")
    longer = [one for one in spelled if len(part) >= _PART and part in one]
    return spelled[min(longer, key=len)] if longer else None


def warn_of(problems: Iterable[str]) -> None:
    """Warn at the line of the program that called this package, of each problem."""
    for problem in problems:
        warn(problem)


def warn(text: str, category: type[Warning] = UnknownNameWarning) -> None:
    """Warn at the line of the program that called this package."""
    level, frame = 2, sys._getframe(1)  # noqa: SLF001 - `inspect` reads source files
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, category, stacklevel=level)


# -- arguments of functions ----------------------------------------------------------


def checked(cls: C) -> C:
    """Make the public methods of a class refuse unknown keywords with a close name."""
    for name, member in list(vars(cls).items()):
        is_public = name == "__init__" or not name.startswith("_")
        # Coroutines of this package call what is checked itself.
        if (
            is_public
            and inspect.isfunction(member)
            and not inspect.iscoroutinefunction(member)
        ):
            setattr(cls, name, _checked(member))
    return cls


def _checked(function: F) -> F:
    known = _keywords_of(function)
    if known is None or "is_lenient" in vars(function):
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs and not kwargs.keys() <= known:
            unknown = min(kwargs.keys() - known)
            raise TypeError(_unexpected(function, unknown, hint(unknown, known)))
        return function(*args, **kwargs)

    return cast("F", call)


def ignoring(*ignored: str) -> Callable[[F], F]:
    """Make a function ignore unknown keywords, with a warning.

    Earlier clients ignore them silently (contract, SDK sections 12 and 13). One that
    is close to a known name is refused.

    Args:
        *ignored: Keywords of earlier versions, which need no warning.
    """

    def decorate(function: F) -> F:
        def ignore(kwargs: dict[str, Any], unknown: list[str]) -> dict[str, Any]:
            for name in unknown:
                if name not in ignored:
                    warn(f"{_shown(function)} ignores the argument {name!r}")
            return {k: v for k, v in kwargs.items() if k not in unknown}

        return _lenient(function, _CLOSE, frozenset(ignored), ignore)

    return decorate


def filtering(function: F) -> F:
    """Make a function take unknown keywords as members of its argument ``filters``.

    It is how earlier clients give them (contract, SDK section 8). One that is close to
    a known name is refused.
    """

    def move(kwargs: dict[str, Any], unknown: list[str]) -> dict[str, Any]:
        text = f"give the filters {', '.join(unknown)} as filters={{...}}"
        warn(text, DeprecationWarning)
        filters = {**(kwargs.get("filters") or {})}
        filters |= {name: kwargs[name] for name in unknown}
        kept = {k: v for k, v in kwargs.items() if k not in unknown}
        return {**kept, "filters": filters}

    return _lenient(function, _VERY_CLOSE, frozenset(), move)


def _lenient(
    function: F,
    cutoff: float,
    expected: frozenset[str],
    settle: Callable[[dict[str, Any], list[str]], dict[str, Any]],
) -> F:
    known = _keywords_of(function) or frozenset()

    @functools.wraps(function)
    def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        unknown = [name for name in kwargs if name not in known]
        for name in unknown:
            close = closest(name, known, cutoff)
            if name not in expected and close is not None:
                text = f"did you mean {close!r}?"
                raise TypeError(_unexpected(function, name, text))
        if unknown:
            kwargs = settle(kwargs, unknown)
        return function(self, *args, **kwargs)

    vars(call)["is_lenient"] = True
    return cast("F", call)


def _keywords_of(function: Callable[..., Any]) -> frozenset[str] | None:
    """Return the arguments that may be given by name, None if any may be."""
    # A tenth of the time of `inspect.signature`, which each start would pay.
    code = inspect.unwrap(function).__code__
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    count = code.co_argcount + code.co_kwonlyargcount
    return frozenset(code.co_varnames[code.co_posonlyargcount : count]) - {"self"}


def _unexpected(function: Callable[..., Any], name: str, text: str) -> str:
    return f"{_shown(function)}() got an unexpected argument {name!r}: {text}"


def _shown(function: Callable[..., Any]) -> str:
    return function.__qualname__.removesuffix(".__init__")


def _is_ours(module: str) -> bool:
    return module.startswith("zaqarclient.") and ".tests." not in module
