"""Decorators that clients of several versions share (contract, SDK section 2)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from zaqarclient import errors

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def version(
    min_version: float, max_version: float | None = None
) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Allow a method only for some versions of the API.

    Args:
        min_version: The first version.
        max_version: The last one, None for no end.

    Returns:
        A decorator of methods of objects with an `api_version`; the method
        raises `zaqarclient.errors.UnsupportedVersion` for other versions.
    """

    def decorate(method: Callable[..., T]) -> Callable[..., T]:
        @functools.wraps(method)
        def checked(self: Any, *args: Any, **kwargs: Any) -> T:
            current = self.api_version
            if current < min_version or (max_version and current > max_version):
                raise errors.UnsupportedVersion(
                    f"{method.__name__} is not part of version {current}"
                )
            return method(self, *args, **kwargs)

        return checked

    return decorate


def lazy_property(
    write: bool = False, delete: bool = True
) -> Callable[[Callable[[Any], Any]], property]:
    """Make a property that is computed once and kept as ``_lazy_NAME``.

    Args:
        write: Whether it may be set.
        delete: Whether it may be deleted, to be computed again.
    """

    def decorate(compute: Callable[[Any], Any]) -> property:
        name = f"_lazy_{compute.__name__}"

        def get(self: Any) -> Any:
            if not hasattr(self, name):
                setattr(self, name, compute(self))
            return getattr(self, name)

        def put(self: Any, value: Any) -> None:
            setattr(self, name, value)

        def forget(self: Any) -> None:
            if hasattr(self, name):
                delattr(self, name)

        return property(
            get, put if write else None, forget if delete else None, compute.__doc__
        )

    return decorate
