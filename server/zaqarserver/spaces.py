"""Spaces: they separate a project's topics from its queues (``rest-v2`` 2.11).

A store keeps a topic as a queue of another *space*, so that topic ``news`` and queue
``news`` have nothing in common. The space of a project's queues is the id of the
project; that of its topics is a text that no project can have as its id. Drivers only
see spaces.
"""

from __future__ import annotations

# A project id comes from a header or an identity service; neither can contain NUL.
_TOPICS = "\0topics"


def space_of(project: str, *, topics: bool) -> str:
    """Return the space of a project's queues, or of its topics."""
    return project + _TOPICS if topics else project


def project_of(space: str) -> str:
    """Return the project of a space."""
    return space.removesuffix(_TOPICS)


def is_of_topics(space: str) -> bool:
    """Return True if a space is one of topics."""
    return space.endswith(_TOPICS)


def path_of(space: str) -> str:
    """Return the REST path of a space's queues or topics."""
    return "/v2/topics" if is_of_topics(space) else "/v2/queues"
