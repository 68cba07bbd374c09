"""Tables of a driver's functions, one for each command of the contract.

A driver makes one table and registers each function where it is defined::

    performs = CommandTable[Store]().performs

    @performs(MessagePost)
    async def post(store: Store, command: MessagePost) -> list[str]: ...

The type checker refuses a function for another command, or with another result, than
the decorator names. :meth:`~zaqarserver.storage.base.Storage.do` looks the function up
by the command's type.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from zaqarserver.storage.commands import Command

S = TypeVar("S")
R = TypeVar("R")
C = TypeVar("C", bound=Command[Any])
C_co = TypeVar("C_co", bound=Command[Any], covariant=True)

Performer = Callable[[S, C], Coroutine[Any, Any, R]]


class CommandTable(dict[type[Command[Any]], Performer[S, Any, Any]], Generic[S]):
    """Functions by the commands that they perform.

    The type parameter is that of their first argument.
    """

    def performs(self, kind: type[C]) -> _Performs[S, C, C]:
        """Return the decorator that registers the function of a command."""
        return _Performs(self, kind)


class _Performs(Generic[S, C, C_co]):
    """Registers a function.

    Both ``C`` and ``C_co`` are the type of the command. ``C`` must match the type of
    the function's argument; ``C_co``, as a ``Command[R]``, that of its result.
    """

    def __init__(self, table: CommandTable[S], kind: type[C]) -> None:
        self._table = table
        self._kind = kind

    def __call__(
        self: _Performs[S, C, Command[R]], function: Performer[S, C, R]
    ) -> Performer[S, C, R]:
        self._table[self._kind] = function
        return function
