"""Posts with an idempotency key store once (``extensions`` section 2)."""

from __future__ import annotations

import pytest

from .service import BAD_REQUEST, KEY_REUSED

WINDOW = 600


def post(service, *bodies, key="build-47", queue="orders", **fields):
    messages = [{"body": body, **fields} for body in bodies]
    return service.with_key(key).message_post(queue, messages)


def test_the_second_post_with_a_key_has_the_answer_of_the_first(service):
    first = post(service, {"a": 1, "b": [2.5]}, "tea")
    again = post(service, {"b": [2.5], "a": 1}, "tea")
    assert again.result == first.result
    assert (first.is_replay, again.is_replay) == (False, True)
    assert service.bodies("orders") == [{"a": 1, "b": [2.5]}, "tea"]


def test_a_key_holds_in_its_queue_for_its_window(service):
    first = post(service, "tea")
    assert post(service, "tea", queue="other").result != first.result
    service.wait(WINDOW - 1)
    assert post(service, "tea").result == first.result
    service.wait(1)
    assert post(service, "tea").result != first.result


def test_other_projects_have_other_keys(service):
    first = post(service, "tea")
    other = service.as_caller(project="another")
    assert post(other, "tea").result != first.result


@pytest.mark.parametrize("change", [{"ttl": 300}, {"delay": 1}])
def test_a_key_with_other_content_is_refused(service, change):
    post(service, "tea")
    assert post(service, "coffee").status == KEY_REUSED
    assert post(service, "tea", **change).status == KEY_REUSED
    assert service.bodies("orders") == ["tea"]


@pytest.mark.parametrize(
    "key", ["", "x" * 129, " x", "x ", "a\tb", "caf\u00e9", "a\x7fb"]
)
def test_a_key_is_1_to_128_printable_ascii_characters(service, key):
    assert post(service, "tea", key=key).status == BAD_REQUEST
    assert service.bodies("orders") == []


@pytest.mark.parametrize("key", ["x", "x" * 128, "a b", "~!"])
def test_keys_have_blanks_within(service, key):
    first = post(service, "tea", key=key)
    assert post(service, "tea", key=key).result == first.result


def test_a_refused_post_uses_up_no_key(service):
    assert post(service, "tea", ttl=1).status == BAD_REQUEST
    assert post(service, "coffee").result
    assert service.bodies("orders") == ["coffee"]


def test_a_replay_answers_when_the_messages_are_gone(service):
    first = post(service, "tea")
    service.message_delete_many("orders", pop=1)
    assert post(service, "tea").result == first.result
    service.queue_delete("orders")
    assert post(service, "tea").result != first.result


def test_topics_have_keys(service):
    topics = service.of_topics()
    first = post(topics, "tea", queue="news")
    assert post(topics, "tea", queue="news").result == first.result
