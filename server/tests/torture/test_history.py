"""What a history proves, and what it does not."""

from __future__ import annotations

import pytest
from zaqarserver.torture.history import (
    Accepted,
    Deleted,
    Fault,
    HeldMessage,
    History,
    Mark,
)

QUEUE = "q"


def mark(number: int, producer: int = 0) -> Mark:
    return Mark("run", producer, number)


def accepted(number: int, message_id: str, at: float = 1.0) -> Accepted:
    return Accepted(QUEUE, message_id, mark(number), at)


def held(message_id: str, claim: str, since: float, until: float) -> HeldMessage:
    return HeldMessage(QUEUE, message_id, mark(0), claim, since - 0.1, since, until)


@pytest.fixture
def history() -> History:
    made = History()
    made.looked = 100.0
    return made


def promises(history: History) -> list[str]:
    return [one.promise for one in history.findings()]


def test_what_was_accepted_and_is_there_at_the_end_is_not_lost(
    history: History,
) -> None:
    history.accepted.append(accepted(0, "a"))
    history.present[QUEUE] = {"a": mark(0)}
    assert promises(history) == []


def test_what_was_accepted_and_is_gone_is_lost_with_the_time_to_the_next_fault(
    history: History,
) -> None:
    history.accepted.append(accepted(0, "a", at=3.0))
    history.faults += [Fault("kill", 2.0), Fault("kill", 3.25), Fault("kill", 9.0)]
    (finding,) = history.findings()
    assert (finding.promise, finding.id, finding.window) == ("lost", "a", 0.25)


@pytest.mark.parametrize("done", [2.0, None])
def test_what_may_have_been_deleted_is_not_lost(
    history: History, done: float | None
) -> None:
    history.accepted.append(accepted(0, "a"))
    history.deleted.append(Deleted(QUEUE, "a", done))
    assert promises(history) == []


def test_one_post_with_two_ids_is_duplicated(history: History) -> None:
    history.accepted.append(accepted(0, "a"))
    history.present[QUEUE] = {"a": mark(0), "b": mark(0)}
    assert promises(history) == ["duplicated"]


def test_later_posts_of_a_producer_with_earlier_ids_are_reordered(
    history: History,
) -> None:
    history.accepted += [accepted(0, "b"), accepted(1, "a")]
    history.present[QUEUE] = {"a": mark(1), "b": mark(0)}
    assert promises(history) == ["reordered"]


def test_a_claim_that_is_not_in_order_is_reordered(history: History) -> None:
    for message_id, number in (("b", 0), ("a", 1)):
        history.held.append(
            HeldMessage(QUEUE, message_id, mark(number), "c", 0.0, 1.0, 60.0)
        )
    assert promises(history) == ["reordered"]


def test_what_is_claimed_after_its_deletion_was_answered_is_resurrected(
    history: History,
) -> None:
    history.deleted.append(Deleted(QUEUE, "a", 5.0))
    history.held.append(held("a", "c", since=5.2, until=60.0))
    assert promises(history) == ["resurrected"]


def test_what_was_claimed_while_it_was_deleted_is_not_resurrected(
    history: History,
) -> None:
    history.deleted.append(Deleted(QUEUE, "a", 5.0))
    history.held.append(held("a", "c", since=5.05, until=60.0))
    assert promises(history) == []


def test_what_is_there_after_its_deletion_is_resurrected(history: History) -> None:
    history.deleted.append(Deleted(QUEUE, "a", 5.0))
    history.present[QUEUE] = {"a": mark(0)}
    assert promises(history) == ["resurrected"]


def test_two_claims_that_overlap_for_certain_are_found(history: History) -> None:
    history.held += [held("a", "c1", 1.0, 60.0), held("a", "c2", 50.0, 110.0)]
    assert promises(history) == ["double_claimed"]


def test_a_claim_after_another_one_was_released_is_none_too_many(
    history: History,
) -> None:
    history.held += [held("a", "c1", 1.0, 2.0), held("a", "c2", 2.0, 60.0)]
    assert promises(history) == []


HOOK = (QUEUE, "/quick")


def test_what_a_webhook_heard_once_and_in_order_is_well(history: History) -> None:
    history.accepted += [accepted(0, "a"), accepted(1, "b")]
    history.present[QUEUE] = {"a": mark(0), "b": mark(1)}
    history.heard[HOOK] = [mark(0), mark(1)]
    assert promises(history) == []


def test_what_was_accepted_and_a_webhook_never_heard_of_is_found(
    history: History,
) -> None:
    history.accepted += [accepted(0, "a"), accepted(1, "b")]
    history.present[QUEUE] = {"a": mark(0), "b": mark(1)}
    history.heard[HOOK] = [mark(1)]
    assert promises(history) == ["not_notified"]


def test_what_a_webhook_heard_first_in_another_order_is_found(history: History) -> None:
    history.accepted += [accepted(0, "a"), accepted(1, "b")]
    history.present[QUEUE] = {"a": mark(0), "b": mark(1)}
    history.heard[HOOK] = [mark(1), mark(0)]
    assert promises(history) == ["notified_out_of_order"]


def test_a_webhook_may_hear_what_nobody_was_told_is_stored(history: History) -> None:
    history.heard[HOOK] = [mark(1), mark(0)]
    assert promises(history) == []


@pytest.mark.parametrize(
    ("faults", "again", "found"),
    [
        (1, 100, []),
        (1, 101, ["notified_too_often"]),
        (2, 200, []),
        (0, 1, ["notified_too_often"]),
    ],
)
def test_a_webhook_hears_again_only_one_delivery_a_fault(
    history: History, faults: int, again: int, found: list[str]
) -> None:
    history.faults += [Fault("kill", 1.0)] * faults
    history.accepted.append(accepted(0, "a"))
    history.present[QUEUE] = {"a": mark(0)}
    history.heard[HOOK] = [mark(0)] * (again + 1)
    assert promises(history) == found
