"""The stages of a server, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zaqarserver.common.plugins import load_plugin
from zaqarserver.stages.base import Stage, StageContext

GROUP = "zaqarserver.stages"
_NOTHING: Mapping[str, Any] = {}


class Pipeline:
    """Passes messages through the stages.

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
        """Refuse queue metadata with an invalid value of a stage's key.

        Raises:
            BadRequest: The text names the key.
        """
        for stage in self._stages:
            stage.check_metadata(metadata)

    def post(
        self, project: str, queue: str, metadata: Mapping[str, Any], body: bytes
    ) -> bytes | None:
        """Return the body to store, or ``None`` to drop the message.

        Raises:
            BadRequest: A stage refuses it.
        """
        for stage in self._posting:
            if stage.switch is not None and stage.switch not in metadata:
                continue
            kept = stage.post(StageContext(project, queue, metadata), body)
            if kept is None:
                return None
            body = kept
        return body

    def read(self, project: str, queue: str, body: bytes) -> bytes:
        """Return a stored body as posted."""
        if self._readers:
            context = StageContext(project, queue, _NOTHING)
            for stage in self._readers:
                body = stage.read(context, body)
        return body


def load_pipeline(names: Sequence[str], settings: Mapping[str, Any]) -> Pipeline:
    """Return a pipeline of the stages with these names.

    Raises:
        SettingsError: A stage does not exist, needs a module that is not installed,
            or refuses its settings.
    """
    stages = []
    for name in names:
        stage: type[Stage] = load_plugin(
            GROUP, name, f"[storage] message_pipeline = {name}"
        )
        stages.append(stage.from_settings(settings))
    return Pipeline(stages)


class NotifierStage(Stage):
    """Does nothing: older configurations name this stage to enable notifications.

    Notifications are sent whether or not the stage is in the pipeline.
    """
