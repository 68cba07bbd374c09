"""The contract of stages.

A stage is a class that is found by its name in the entry point group
``zaqarserver.stages``. ``[storage] message_pipeline`` lists the stages: messages pass
them in that order when posted, and in the opposite order when read or delivered.

A complete stage that stamps each message::

    class Stamp(Stage):
        def post(self, context: StageContext, body: bytes) -> bytes:
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


class StageContext(msgspec.Struct, frozen=True, gc=False):
    """The queue of a message.

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

    Stages run on the event loop: they must not block. Any exception other than those
    documented makes the request fail with a 500.
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
            SettingsError: A setting is invalid.
        """
        del settings
        return cls()

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse invalid values of the stage's keys in queue metadata.

        Raises:
            BadRequest: The text names the key.
        """

    def post(self, context: StageContext, body: bytes) -> bytes | None:
        """Return the body to store, or ``None`` to drop the message.

        Args:
            context: The queue of the message.
            body: The body's JSON text, or the result of the previous stage.

        Raises:
            BadRequest: The message is refused, and with it the whole post.
        """
        del context
        return body

    def read(self, context: StageContext, body: bytes) -> bytes:
        """Return the body as posted; the result of the first stage is JSON text.

        Args:
            context: The queue of the message, without metadata.
            body: The stored body, or the result of the next stage in the pipeline.
        """
        del context
        return body
