"""What a stage must do, for those who write one.

A stage is a class that is found by its name in the entry point group
``zaqarserver.stages`` and put into the pipeline by naming it in
``[storage] message_pipeline``. When messages are posted they go through the
stages in that order, and when they are read or delivered, in the opposite one.

A complete stage that stamps each message::

    class Stamp(Stage):
        def post(self, place: Place, body: bytes) -> bytes:
            value = json.loads(body)
            if isinstance(value, dict):
                value["stamped"] = True
            return json.dumps(value).encode()

with, in its distribution's metadata::

    [options.entry_points]
    zaqarserver.stages =
        stamp = my_package:Stamp
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import msgspec


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a message is.

    Attributes:
        project: The project.
        queue: The queue that the message was posted to.
        metadata: The queue's stored metadata when it was posted; empty on reads.
    """

    project: str
    queue: str
    metadata: Mapping[str, Any]


class Stage:
    """Sees each message on its way in and out; by default changes nothing.

    Stages run on the event loop: they must not block. What they do not raise on
    purpose makes the request fail with a 500.
    """

    #: Whether bodies change on the way out; if not, reads skip the stage.
    reads = False

    #: The key in a queue's metadata that switches the stage on; posts to other
    #: queues skip it. ``None``: every post goes through.
    switch: ClassVar[str | None] = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Make the stage.

        Args:
            settings: The options of the configuration group ``transport``.

        Raises:
            SettingsError: A setting makes the stage impossible.
        """
        del settings
        return cls()

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse queue metadata that this stage could not follow.

        Raises:
            BadRequest: The text names the key.
        """

    def post(self, place: Place, body: bytes) -> bytes | None:
        """Return what to keep of a message, or ``None`` to drop it.

        Args:
            place: Where it is posted.
            body: The body's JSON text, or what the stage before made of it.

        Raises:
            BadRequest: The message is refused, and with it the whole post.
        """
        del place
        return body

    def read(self, place: Place, body: bytes) -> bytes:
        """Return what was posted of what was kept; JSON text in the end.

        Args:
            place: Where it is read, without metadata.
            body: What the store gave, or the stage after made of it.
        """
        del place
        return body
