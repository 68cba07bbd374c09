"""Commands on pools and flavors: what they send, and what they print to the letter.

The service is a stand-in here, so that each answer of the contract can be played;
`test_pools_flavors_live.py` runs the same commands against a real one.
"""

from __future__ import annotations

from typing import Any

import pytest

from zaqarclient.tests.functional.cli.conftest import Done, Run
from zaqarclient.tests.http_stub import Answer, HttpStub

SSD: dict[str, Any] = {
    "name": "ssd",
    "href": "/v2/pools/ssd",
    "uri": "redis://10.0.0.7:6379",
    "weight": 80,
    "flavor": None,
}
DETAILED = {**SSD, "options": {"max_retry": 3}}
FAST: dict[str, Any] = {
    "name": "fast",
    "href": "/v2/flavors/fast",
    "pool_list": ["ssd", "nvme"],
    "capabilities": ["FIFO", "CLAIMS"],
}


class Service:
    """The program against the stand-in."""

    def __init__(self, stub: HttpStub, zaqar: Run) -> None:
        self.stub = stub
        self._zaqar = zaqar

    def __call__(self, *words: str, answers: tuple[Answer, ...] = ()) -> Done:
        self.stub.answers = list(answers)
        return self._zaqar("--os-queues-endpoint", self.stub.url, *words)

    def sent(self) -> list[tuple[str, str, Any]]:
        return [(seen.method, seen.path, seen.body) for seen in self.stub.seen]


@pytest.fixture
def service(stub: HttpStub, zaqar: Run) -> Service:
    return Service(stub, zaqar)


def test_pool_create_sends_what_is_given_and_prints_it(service: Service) -> None:
    words = ["pool", "create", "ssd", SSD["uri"], "80", "--flavor", "fast"]
    done = service(*words, "--pool-options", '{"a": 1}', answers=(Answer(201),))
    body = {"uri": SSD["uri"], "weight": 80, "flavor": "fast", "options": {"a": 1}}
    assert service.sent() == [("PUT", "/v2/pools/ssd", body)]
    assert done == (
        0,
        (
            "+---------+-----------------------+\n"
            "| Field   | Value                 |\n"
            "+---------+-----------------------+\n"
            "| Name    | ssd                   |\n"
            "| Weight  | 80                    |\n"
            "| URI     | redis://10.0.0.7:6379 |\n"
            "| Flavor  | fast                  |\n"
            '| Options | {"a":1}               |\n'
            "+---------+-----------------------+\n"
        ),
        "",
    )


def test_pool_show_has_the_options(service: Service) -> None:
    """cli.md 14.5: the options were always blank."""
    done = service("pool", "show", "ssd", answers=(Answer(200, DETAILED),))
    assert service.stub.last.query == {"detailed": ["True"]}
    assert done == (
        0,
        (
            "+---------+-----------------------+\n"
            "| Field   | Value                 |\n"
            "+---------+-----------------------+\n"
            "| Name    | ssd                   |\n"
            "| Weight  | 80                    |\n"
            "| URI     | redis://10.0.0.7:6379 |\n"
            "| Flavor  | None                  |\n"
            '| Options | {"max_retry":3}       |\n'
            "+---------+-----------------------+\n"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--pool-weight", "0"], {"weight": 0}),
        (["--pool_options", "{}"], {"options": {}}),
        (["--flavor", ""], {"flavor": ""}),
        (["--pool_uri", "redis://b", "--pool_weight", "5"], {"uri": "redis://b"}),
    ],
)
def test_pool_update_sends_what_is_given_be_it_zero_or_empty(
    service: Service, words: list[str], body: dict[str, Any]
) -> None:
    """cli.md 14.4: 0 and {} were dropped."""
    answers = (Answer(200, SSD), Answer(200, DETAILED))
    done = service("pool", "update", "ssd", *words, "-f", "json", answers=answers)
    assert service.sent()[0][2].items() >= body.items()
    assert [(method, path) for method, path, _ in service.sent()] == [
        ("PATCH", "/v2/pools/ssd"),
        ("GET", "/v2/pools/ssd"),
    ]
    assert done.data == {
        "Name": "ssd",
        "Weight": 80,
        "URI": SSD["uri"],
        "Flavor": None,
        "Options": {"max_retry": 3},
    }


def test_pool_delete_prints_nothing(service: Service) -> None:
    assert service("pool", "delete", "ssd", answers=(Answer(204),)) == (0, "", "")
    assert service.sent() == [("DELETE", "/v2/pools/ssd", None)]


def test_pool_list_shows_the_options_when_asked(service: Service) -> None:
    page = Answer(200, {"pools": [SSD], "links": []})
    assert service("pool", "list", "--limit", "5", answers=(page,)) == (
        0,
        (
            "+------+--------+-----------------------+--------+\n"
            "| Name | Weight | URI                   | Flavor |\n"
            "+------+--------+-----------------------+--------+\n"
            "| ssd  |     80 | redis://10.0.0.7:6379 | None   |\n"
            "+------+--------+-----------------------+--------+\n"
        ),
        "",
    )
    assert service.stub.last.query == {"limit": ["5"]}
    page = Answer(200, {"pools": [DETAILED], "links": []})
    words = ["pool", "list", "--detailed", "--marker", "a", "-f", "csv"]
    assert service(*words, answers=(page,)).out == (
        '"Name","Weight","URI","Flavor","Options"\n'
        '"ssd",80,"redis://10.0.0.7:6379","","{""max_retry"":3}"\n'
    )
    assert service.stub.last.query == {"marker": ["a"], "detailed": ["True"]}


@pytest.mark.parametrize("kind", ["pool", "flavor"])
def test_lists_say_where_the_next_page_begins(service: Service, kind: str) -> None:
    documents = [{**SSD, **FAST, "name": f"n{number}"} for number in range(10)]
    link = {"rel": "next", "href": f"/v2/{kind}s?marker=n9&limit=10"}
    page = Answer(200, {f"{kind}s": documents, "links": [link]})
    done = service(kind, "list", "-f", "value", "-c", "Name", answers=(page,))
    assert done.out.split() == [document["name"] for document in documents]
    assert done.err == "Next page: --marker n9 (or --all)\n"


@pytest.mark.parametrize("kind", ["pool", "flavor"])
def test_an_empty_list_of_them_is_no_error(service: Service, kind: str) -> None:
    page = Answer(200, {f"{kind}s": [], "links": []})
    assert service(kind, "list", "-f", "json", answers=(page,)) == (0, "[]\n", "")


def test_flavor_create_sends_the_pools_and_prints_what_the_service_has(
    service: Service,
) -> None:
    answers = (Answer(201), Answer(200, FAST))
    done = service(
        "flavor", "create", "fast", "--pool_list", "ssd,nvme", answers=answers
    )
    assert service.sent()[0] == (
        "PUT",
        "/v2/flavors/fast",
        {"pool_list": ["ssd", "nvme"]},
    )
    assert done == (
        0,
        (
            "+--------------+-------------------+\n"
            "| Field        | Value             |\n"
            "+--------------+-------------------+\n"
            "| Name         | fast              |\n"
            '| Pool list    | ["ssd","nvme"]    |\n'
            '| Capabilities | ["FIFO","CLAIMS"] |\n'
            "+--------------+-------------------+\n"
        ),
        "",
    )


def test_flavor_show_prints_pools_and_capabilities(service: Service) -> None:
    done = service(
        "flavor", "show", "fast", "-f", "shell", answers=(Answer(200, FAST),)
    )
    assert done.out == (
        'name="fast"\n'
        'pool_list="[\\"ssd\\",\\"nvme\\"]"\n'
        'capabilities="[\\"FIFO\\",\\"CLAIMS\\"]"\n'
    )


def test_flavor_update_takes_capabilities_beside_the_pools(service: Service) -> None:
    """cli.md 14.3: ``--capabilities`` always failed."""
    answers = (Answer(200, FAST), Answer(200, FAST))
    words = ["flavor", "update", "fast", "--pool-list", "ssd", "--capabilities", "{}"]
    done = service(*words, "-f", "json", answers=answers)
    assert service.sent()[0][2] == {"pool_list": ["ssd"], "capabilities": {}}
    assert done.data == {
        "Name": "fast",
        "Pool_list": ["ssd", "nvme"],
        "Capabilities": ["FIFO", "CLAIMS"],
    }


def test_flavor_delete_prints_nothing(service: Service) -> None:
    assert service("flavor", "delete", "fast", answers=(Answer(204),)) == (0, "", "")
    assert service.sent() == [("DELETE", "/v2/flavors/fast", None)]


def test_flavor_list_shows_the_capabilities_when_asked(service: Service) -> None:
    brief = {key: value for key, value in FAST.items() if key != "capabilities"}
    page = Answer(200, {"flavors": [brief], "links": []})
    assert service("flavor", "list", answers=(page,)) == (
        0,
        (
            "+------+----------------+\n"
            "| Name | Pool list      |\n"
            "+------+----------------+\n"
            '| fast | ["ssd","nvme"] |\n'
            "+------+----------------+\n"
        ),
        "",
    )
    assert service.stub.last.query == {"detailed": ["False"]}
    page = Answer(200, {"flavors": [FAST], "links": []})
    done = service("flavor", "list", "--detailed", "-f", "json", answers=(page,))
    assert done.data == [
        {
            "Name": "fast",
            "Pool list": ["ssd", "nvme"],
            "Capabilities": ["FIFO", "CLAIMS"],
        }
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["pool", "update", "ssd"], "nothing to change: give --pool-uri"),
        (["flavor", "create", "fast"], "a flavor needs pools: give --pool-list"),
        (["flavor", "update", "fast", "--capabilities", "{}"], "give --pool-list"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(
    service: Service, words: list[str], text: str
) -> None:
    done = service(*words)
    assert (done.status, done.out) == (2, "")
    assert text in done.err
    assert service.stub.seen == []


@pytest.mark.parametrize(("status", "ends"), [(400, 1), (403, 4), (404, 3)])
def test_what_the_service_refuses_ends_with_a_status_and_one_line(
    service: Service, status: int, ends: int
) -> None:
    refusal = Answer(status, {"title": "No", "description": "because."})
    done = service("pool", "show", "ssd", answers=(refusal,))
    assert (done.status, done.out) == (ends, "")
    assert done.err == "because.\n"


def drained(queues: int, moved: int, *, running: bool = False, **more: Any) -> Answer:
    document = {"name": "ssd", "queues": queues, "moved": moved, "running": running}
    return Answer(200, {"error": None, **document, **more})


def test_pool_drain_says_how_far_it_is(service: Service) -> None:
    words = ["pool", "drain", "ssd"]
    done = service(*words, answers=(drained(212, 88, running=True),))
    assert service.sent() == [("POST", "/v2/pools/ssd/drain", None)]
    assert service.stub.last.query == {}
    assert done == (
        1,
        (
            "+---------+-------+\n"
            "| Field   | Value |\n"
            "+---------+-------+\n"
            "| Name    | ssd   |\n"
            "| Queues  | 212   |\n"
            "| Moved   | 88    |\n"
            "| Running | True  |\n"
            "| Error   | None  |\n"
            "+---------+-------+\n"
        ),
        "The service goes on; run this again to see how far it is.\n",
    )


def test_pool_drain_waits_until_no_queue_is_left(service: Service) -> None:
    answers = (
        drained(9, 3, running=True),
        drained(4, 8, running=True),
        drained(1, 0, error="queue a: busy", running=True),  # it has begun anew
        drained(0, 1),
    )
    words = ["pool", "drain", "ssd", "--wait", "-f", "json"]
    done = service(*words, answers=answers)
    expected = {"Queues": 0, "Moved": 9, "Running": False, "Error": None}
    assert (done.status, done.data) == (0, {"Name": "ssd", **expected})
    assert done.err == (
        "9 queues left, 3 moved.\n4 queues left, 8 moved.\n1 queues left, 8 moved.\n"
    )
    assert [seen.query for seen in service.stub.seen] == [{"wait": ["20"]}] * 4


def test_pool_drain_stops_waiting_when_a_queue_cannot_be_moved(
    service: Service,
) -> None:
    words = ["pool", "drain", "ssd", "--wait", "-f", "json"]
    why = "queue orders: no other pool takes it"
    done = service(*words, answers=(drained(1, 0, error=why),))
    assert (done.status, done.err) == (1, "")
    assert (done.data["Queues"], done.data["Error"]) == (1, why)
    assert len(service.stub.seen) == 1


def test_pool_delete_has_to_be_told_to_lose_queues(service: Service) -> None:
    refused = Answer(403, {"title": "Forbidden", "description": "ssd has queues."})
    done = service("pool", "delete", "ssd", answers=(refused,))
    assert (done.status, done.out) == (4, "")
    assert "ssd has queues." in done.err
    assert service.stub.last.query == {}
    done = service("pool", "delete", "ssd", "--force", answers=(Answer(204),))
    assert done == (0, "", "")
    assert service.stub.last.query == {"force": ["True"]}
