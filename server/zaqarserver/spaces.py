"""Spaces: how a store tells a project's topics from its queues (``rest-v2`` 2.11).

A topic is kept by the store as a queue is, but in a name space of its own, so
that topic ``news`` and queue ``news`` have nothing in common. The store's
``project`` is therefore a *space*: the project itself for queues, and a text that
no project can have for its topics. Drivers need not know.
"""

from __future__ import annotations

# A project comes from a header or from an identity service; neither can have NUL.
_TOPICS = "\0topics"


def space_of(project: str, *, topics: bool) -> str:
    """Return the space of a project's queues, or of its topics."""
    return project + _TOPICS if topics else project


def project_of(space: str) -> str:
    """Return the project of a space."""
    return space.removesuffix(_TOPICS)


def is_of_topics(space: str) -> bool:
    """Whether a space holds topics."""
    return space.endswith(_TOPICS)


def path_of(space: str) -> str:
    """Return the REST path of a space's queues or topics."""
    return "/v2/topics" if is_of_topics(space) else "/v2/queues"
