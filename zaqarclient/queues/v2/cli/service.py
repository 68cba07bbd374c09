"""Commands on the service itself."""

from __future__ import annotations

import argparse
from typing import Any

from zaqarclient.errors import ZaqarError
from zaqarclient.queues.v2.cli.arguments import arg
from zaqarclient.queues.v2.cli.displays import Lister, Shown, ShowOne
from zaqarclient.queues.v2.cli.output import CommandError, explained
from zaqarclient.queues.v2.cli.statuses import Status


class Ping(ShowOne):
    """Show if the service answers: exit status 0 if it does, 69 if it does not."""

    def take_action(self, _parsed_args: argparse.Namespace) -> Shown:
        """Ask the service."""
        pingable = self.client.ping()
        if not pingable:
            self.exit_status = Status.UNREACHABLE
            self._hint_why()
        return ("Pingable",), (pingable,)

    def _hint_why(self) -> None:
        # A ping only says yes or no; the same service's home document, which
        # needs as little, fails with the reason.
        try:
            self.client.homedoc()
        except ZaqarError as error:
            self.hint(str(explained(error)))


class _Document(ShowOne):
    """A document of the service, printed as it is."""

    @property
    def formatter_default(self) -> str:
        """JSON, since the documents are deep."""
        return "json"


class Health(_Document):
    """Show the state of the service and its stores; for administrators.

    The exit status is 0 if all is well, 1 if anything is not.
    """

    def take_action(self, _parsed_args: argparse.Namespace) -> Shown:
        """Read the health document."""
        document = _given(self.client.health())
        self.exit_status = 0 if healthy(document) else 1
        return _fields(document)


class HomeDoc(_Document):
    """Show the home document: what the service offers, and where."""

    def take_action(self, _parsed_args: argparse.Namespace) -> Shown:
        """Read the home document."""
        return _fields(_given(self.client.homedoc()))


class ShowQuotas(Lister):
    """Show what the project may use, and how much of it is used.

    Where nothing is limited the limit is empty.
    """

    example = "-f json"
    arguments = (
        arg(
            "project_id",
            "ID of another project; for administrators (default: one's own)",
            nargs="?",
        ),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Shown:
        """Read the quotas, and how many requests may come."""
        document = self.client.quotas(parsed_args.project_id)
        rows: list[tuple[str, object, int | None]] = [
            (name, _limit(quota["limit"]), quota["used"])
            for name, quota in document["quotas"].items()
        ]
        rate = document["rate"]
        rows += (
            ("requests per second", _limit(rate["requests_per_second"]), None),
            ("requests at once", _limit(rate["burst"]), None),
        )
        return ("Resource", "Limit", "Used"), rows


class ShowLimits(Lister):
    """Show the extensions of the API that the service has, and its limits."""

    example = "-f json"

    def take_action(self, _parsed_args: argparse.Namespace) -> Shown:
        """Read them."""
        document = self.client.limits()
        rows = [(name, True) for name in document["features"]]
        return ("Name", "Value"), [*rows, *document["limits"].items()]


def _limit(number: float) -> float | None:
    return None if number < 0 else number


def healthy(document: Any) -> bool:
    """Return True if a health document reports nothing that is down or failed.

    With pools the document holds one such document for each of them.
    """
    if not isinstance(document, dict):
        return True
    well = all(
        document.get(key, True)
        for key in ("storage_reachable", "catalog_reachable", "succeeded")
    )
    return well and all(map(healthy, document.values()))


def _given(document: dict[str, Any] | None) -> dict[str, Any]:
    if not document:
        raise CommandError("the service answered with nothing")
    return document


def _fields(document: dict[str, Any]) -> Shown:
    ordered = _sorted(document)
    return tuple(ordered), tuple(ordered.values())


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
