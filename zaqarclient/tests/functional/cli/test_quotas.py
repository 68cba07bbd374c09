"""``quota show``: what a project may use, and what it does."""

from __future__ import annotations

from zaqarclient.tests.functional.cli.conftest import BOTH_WIRES, Run

pytestmark = BOTH_WIRES


def test_a_project_without_quotas_sees_what_it_uses(zaqar: Run) -> None:
    zaqar("message", "post", "orders", '[{"body": 1}, {"body": 2}]')
    done = zaqar("quota", "show", "-f", "json")
    assert (done.status, done.err) == (0, "")
    rows = {row["Resource"]: row for row in done.data}
    assert rows["queues"] == {"Resource": "queues", "Limit": None, "Used": 1}
    assert rows["messages"]["Used"] == 2
    assert {row["Limit"] for row in done.data} == {None}
    assert list(rows)[-2:] == ["requests per second", "requests at once"]


def test_another_project_is_for_administrators(zaqar: Run) -> None:
    done = zaqar("quota", "show", "elsewhere")
    assert (done.status, done.out) == (4, "")
    assert "The policy rule quota:get_project does not allow this." in done.err
    words = ["--os-queues-roles", "admin", "quota", "show", "elsewhere", "-f", "json"]
    assert {row["Used"] for row in zaqar(*words).data} == {0, None}


def test_the_limits_of_the_service_are_shown_by_name(zaqar: Run) -> None:
    shown = {row["Name"]: row["Value"] for row in zaqar("limits", "-f", "json").data}
    assert shown["max_messages_per_page"] == 20
