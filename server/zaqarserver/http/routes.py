"""The paths of operations as a tree."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from zaqarserver.errors import NotFound
from zaqarserver.http.answers import MethodNotAllowed
from zaqarserver.operations import BoundOperation

_SOURCES = ("queue", "topic")


class Route:
    """One path with an operation for each of its methods.

    Args:
        path: The template of the path.
        topics: True for a path of topics.

    Attributes:
        names: The names of its variables, in their order.
        source: What the path names: ``queue``, ``topic``, or empty for neither.
        is_home: True for the path of the home document.
        topics: True for a path of topics.
        allow: The value of the ``Allow`` header.
    """

    def __init__(self, path: str, *, topics: bool) -> None:
        self.names = [one[1:-1] for one in _split(path)[1]]
        self.source = next((one for one in _SOURCES if f"{one}_name" in self.names), "")
        self.is_home = path == "/v2/"
        self.topics = topics
        self.allow = ""
        self._rows: dict[str, BoundOperation] = {}
        self._special: dict[str, list[tuple[str, BoundOperation]]] = {}

    def add(self, operation: BoundOperation) -> None:
        """Register an operation for its method."""
        row = operation.row
        # HEAD asks for what GET answers, without its body.
        for method in ("GET", "HEAD") if row.method == "GET" else (row.method,):
            if row.when is not None:
                self._special.setdefault(method, []).append((row.when, operation))
            else:
                self._rows[method] = operation
        self.allow = ", ".join([*sorted(self._rows), "OPTIONS"])

    def find(self, method: str, query: Mapping[str, Any]) -> BoundOperation:
        """Return the operation of a request.

        Raises:
            MethodNotAllowed: The path does not support this method.
        """
        for name, operation in self._special.get(method, ()):
            if name in query:
                return operation
        if method not in self._rows:
            raise MethodNotAllowed(self.allow)
        return self._rows[method]


class Routes:
    """The paths of some operations.

    After ``/v2/`` words and variables alternate. So the words of a path, which are
    found by their places, name its route in one look-up.

    Raises:
        ValueError: The path of an operation is not of that form.
    """

    def __init__(self, operations: Iterable[BoundOperation]) -> None:
        self._routes: dict[tuple[object, ...], Route] = {}
        for operation in operations:
            path = operation.row.path
            words, variables = _split(path)
            if path.count("{") != sum(one.startswith("{") for one in variables):
                raise ValueError(f"words and variables of {path} do not alternate")
            if words not in self._routes:
                self._routes[words] = Route(path, topics=operation.row.topics)
            self._routes[words].add(operation)

    def __contains__(self, path: str) -> bool:
        return _split(path)[0] in self._routes

    @functools.lru_cache(maxsize=1024)  # noqa: B019 - there is one object a process
    def find(self, path: str) -> tuple[Route, Mapping[str, str]]:
        """Return the route of a path, and the values of its variables.

        Raises:
            NotFound: The path does not exist.
        """
        words, variables = _split(path)
        route = self._routes.get(words)
        if route is None:
            raise NotFound(title="404 Not Found")
        return route, dict(zip(route.names, variables, strict=True))


def _split(path: str) -> tuple[tuple[object, ...], list[str]]:
    """Return the words of a path, with the number of its parts, and its variables."""
    parts = path.split("/")
    return (len(parts), *parts[:2], *parts[2::2]), parts[3::2]
