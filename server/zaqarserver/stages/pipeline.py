"""The stages of a server, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zaqarserver.common.plugins import load_plugin
from zaqarserver.stages.base import Place, Stage

GROUP = "zaqarserver.stages"
_NOTHING: Mapping[str, Any] = {}


class Pipeline:
    """Takes messages through the stages.

    Args:
        stages: The stages, in the order of posting.
    """

    def __init__(self, stages: Sequence[Stage] = ()) -> None:
        self._stages = tuple(stages)
        self._posting = tuple(
            stage for stage in stages if type(stage).post is not Stage.post
        )
        self._readers = tuple(stage for stage in reversed(stages) if stage.reads)

    def check_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Refuse queue metadata that a stage could not follow.

        Raises:
            BadRequest: The text names the key.
        """
        for stage in self._stages:
            stage.check_metadata(metadata)

    def post(
        self, project: str, queue: str, metadata: Mapping[str, Any], body: bytes
    ) -> bytes | None:
        """Return what to store of a message, or ``None`` to drop it.

        Raises:
            BadRequest: A stage refuses it.
        """
        for stage in self._posting:
            if stage.switch is not None and stage.switch not in metadata:
                continue
            kept = stage.post(Place(project, queue, metadata), body)
            if kept is None:
                return None
            body = kept
        return body

    def read(self, project: str, queue: str, body: bytes) -> bytes:
        """Return a stored body as it was posted."""
        if self._readers:
            place = Place(project, queue, _NOTHING)
            for stage in self._readers:
                body = stage.read(place, body)
        return body


def load_pipeline(names: Sequence[str], settings: Mapping[str, Any]) -> Pipeline:
    """Make the stages with these names.

    Raises:
        SettingsError: There is no such stage, a module that it needs is not
            installed, or it refuses its settings.
    """
    stages = []
    for name in names:
        stage: type[Stage] = load_plugin(
            GROUP, name, f"[storage] message_pipeline = {name}"
        )
        stages.append(stage.from_settings(settings))
    return Pipeline(stages)


class Notifier(Stage):
    """The name under which older configurations ask for notifications.

    Subscribers are told of every post, whether or not this stage is named.
    """
