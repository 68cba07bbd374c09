"""What people are told when what answers is not the service, or refuses for a while."""

from __future__ import annotations

import pytest

from zaqarclient.tests.functional.cli.conftest import Done, Run
from zaqarclient.tests.http_stub import Answer, HttpStub

NOT_THIS = (
    "he URL is not that of a messaging service, or the service does not offer this.\n"
)


def ask(zaqar: Run, stub: HttpStub, answer: Answer, *words: str) -> Done:
    stub.default = answer
    return zaqar("--os-queues-endpoint", stub.url, *words)


@pytest.mark.parametrize("words", [["queue", "list"], ["queue", "delete", "q"]])
def test_a_path_that_nobody_knows_points_at_the_url(
    zaqar: Run, stub: HttpStub, words: list[str]
) -> None:
    done = ask(zaqar, stub, Answer(404, {"title": "404 Not Found"}), *words)
    assert (done.status, done.out) == (3, "")
    assert done.err.endswith(f"There is no such resource. T{NOT_THIS}")


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["pool", "list"], "admin_mode = true and pooling = true"),
        (["flavor", "show", "f"], "admin_mode = true and pooling = true"),
        (["health"], "admin_mode = true"),
    ],
)
def test_what_is_switched_off_is_told_with_what_switches_it_on(
    zaqar: Run, stub: HttpStub, words: list[str], settings: str
) -> None:
    done = ask(zaqar, stub, Answer(404, {"title": "404 Not Found"}), *words)
    assert (done.status, done.out) == (3, "")
    assert done.err.startswith("This service ")
    assert settings in done.err
    assert "404" not in done.err


def test_what_the_service_says_of_a_missing_thing_is_enough(
    zaqar: Run, stub: HttpStub
) -> None:
    known = Answer(404, {"title": "Not found", "description": "No queue q."})
    done = ask(zaqar, stub, known, "message", "show", "q", "m")
    assert done.err.endswith("No queue q.\n")


@pytest.mark.parametrize(
    ("words", "member"),
    [
        (["queue", "list"], "queues"),
        (["queue", "stats", "q"], "messages"),
        (["message", "post", "q", "1"], "resources"),
    ],
)
def test_the_answer_of_another_service_is_told_apart(
    zaqar: Run, stub: HttpStub, words: list[str], member: str
) -> None:
    done = ask(zaqar, stub, Answer(200, {"versions": []}), *words)
    assert done == (1, "", f"the answer has no '{member}': t{NOT_THIS}")


@pytest.mark.parametrize("words", [["queue", "list"], ["message", "post", "q", "1"]])
def test_the_page_of_a_proxy_is_an_error(
    zaqar: Run, stub: HttpStub, words: list[str]
) -> None:
    done = ask(zaqar, stub, Answer(200, "<html>Welcome</html>"), *words)
    assert (done.status, done.out) == (1, "")
    assert done.err == "The service answered with HTML: not a messaging service.\n"


def test_the_error_page_of_another_server_is_not_shown(
    zaqar: Run, stub: HttpStub
) -> None:
    page = "<!DOCTYPE html>\n<html><body><h1>Not here</h1></body></html>"
    done = ask(zaqar, stub, Answer(404, page), "queue", "list")
    assert done.err == "The service answered with HTML: not a messaging service.\n"
    done = ask(zaqar, stub, Answer(404, "no\nsuch\npage"), "queue", "list")
    assert done.err == "There is no such resource. no.\n"


def test_how_long_a_service_wants_to_be_left_alone_is_told(
    zaqar: Run, stub: HttpStub
) -> None:
    busy = Answer(429, {"title": "Slow"}, {"Retry-After": "600"})
    for words, status in ((["queue", "list"], 9), (["ping", "-f", "value"], 69)):
        done = ask(zaqar, stub, busy, *words)
        assert done.status == status
        assert done.err.endswith(": Slow. It asks to wait for 600 s.\n")


def test_an_unknown_scheme_is_told_with_those_that_are_known(zaqar: Run) -> None:
    done = zaqar("--os-queues-endpoint", "htp://h", "queue", "list")
    assert (done.status, done.out) == (1, "")
    assert "'htp.v2': it does not exist; known ones are http.v2" in done.err
