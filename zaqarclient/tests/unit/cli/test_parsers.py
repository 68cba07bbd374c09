"""The arguments of each command, against the contract (cli.md 3 to 5, 9, 17)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zaqarclient import shell
from zaqarclient.queues.v2.cli.commands import COMMANDS

# Command, words, and what the parser makes of them. The first rows of a command
# are its defaults.
ACCEPTED = [
    ("queue list", [], {"marker": None, "limit": None, "detailed": False}),
    ("queue list", [], {"with_count": False, "name": None, "filters": []}),
    ("queue list", ["--marker", "a", "--limit", "5"], {"marker": "a", "limit": 5}),
    ("queue list", ["--detailed", "--with_count"], {"with_count": True}),
    ("queue list", ["--with-count"], {"with_count": True}),
    ("queue list", ["--all"], {"limit": 0}),
    ("queue list", ["--limit", "0"], {"limit": 0}),
    ("queue list", ["--name", "ord"], {"name": "ord"}),
    ("queue list", ["--filter", "a=b=c"], {"filters": [("a", "b=c")]}),
    ("queue create", ["q"], {"queue_name": "q", "properties": []}),
    ("queue create", ["q", "--ttl", "60"], {"_default_message_ttl": 60}),
    ("queue create", ["q", "--max-size", "9"], {"_max_messages_post_size": 9}),
    ("queue create", ["q", "--delay", "0"], {"_default_message_delay": 0}),
    ("queue create", ["q", "--dead-letter-queue", "7"], {"_dead_letter_queue": "7"}),
    (
        "queue create",
        ["q", "--dead-letter-ttl", "60"],
        {"_dead_letter_queue_messages_ttl": 60},
    ),
    ("queue create", ["q", "--max-claims", "3"], {"_max_claim_count": 3}),
    (
        "queue create",
        ["q", "--property", "a=1", "--property", "b=x y"],
        {"properties": [("a", 1), ("b", "x y")]},
    ),
    ("queue show", ["q"], {"queue_name": "q"}),
    ("queue exists", ["q"], {"queue_name": "q"}),
    ("queue set", ["q", "--property", 'a="1"'], {"properties": [("a", "1")]}),
    ("queue unset", ["q", "--property", "a"], {"properties": ["a"]}),
    ("queue unset", ["q", "--ttl"], {"properties": ["_default_message_ttl"]}),
    ("queue delete", ["q"], {"queue_name": "q", "more": [], "yes": False}),
    ("queue delete", ["q", "r", "-y"], {"queue_name": "q", "more": ["r"], "yes": True}),
    ("queue stats", ["q"], {"queue_name": "q", "check": False}),
    ("queue set metadata", ["q", "{}"], {"queue_name": "q", "queue_metadata": "{}"}),
    ("queue get metadata", ["q"], {"queue_name": "q"}),
    ("queue purge", ["q"], {"queue_name": "q", "resource_types": None}),
    (
        "queue purge",
        ["q", "--resource_types", "messages", "--resource-types", "subscriptions"],
        {"resource_types": ["messages", "subscriptions"]},
    ),
    ("queue purge", ["q", "--resource-type", "messages", "--yes"], {"yes": True}),
    (
        "queue export",
        ["q", "f"],
        {"queue_name": "q", "file": "f", "resume": False},
    ),
    ("queue export", ["q", "f", "--resume"], {"resume": True}),
    (
        "queue import",
        ["q", "f"],
        {"file": "f", "resume": False, "restart": False, "no_metadata": False},
    ),
    ("queue import", ["q", "f", "--restart"], {"restart": True}),
    (
        "queue signed url",
        ["q"],
        {"paths": "messages", "ttl_seconds": None, "methods": "GET"},
    ),
    (
        "queue signed url",
        ["q", "--paths", "messages,claims", "--ttl-seconds", "5", "--methods", "PUT"],
        {"paths": "messages,claims", "ttl_seconds": 5, "methods": "PUT"},
    ),
    ("message post", ["q"], {"queue_name": "q", "messages": None, "lines": False}),
    ("message post", ["q"], {"ttl": None, "delay": None, "bodies": [], "fields": []}),
    ("message post", ["q", '[{"body": 1}]'], {"messages": [{"body": 1}]}),
    ("message post", ["q", "--ttl", "60", '{"body": 1}'], {"messages": {"body": 1}}),
    ("message post", ["q", "hello"], {"messages": "hello"}),
    ("message post", ["q", "--ttl", "1h", "two words"], {"messages": "two words"}),
    ("message post", ["q", "--body", '{"a": 1}'], {"bodies": [{"a": 1}]}),
    ("message post", ["q", "--body", "null"], {"bodies": [None]}),
    ("message post", ["q", "--body", "hello there"], {"bodies": ["hello there"]}),
    ("message post", ["q", "--text", "5", "--text", "6"], {"bodies": ["5", "6"]}),
    (
        "message post",
        [
            "q",
            "--field",
            "a=1",
            "--field",
            "b:=1",
            "--field",
            "c=:=x",
            "--field",
            ":=2",
        ],
        {"fields": [("a", "1"), ("b", 1), ("c", ":=x"), (":", "2")]},
    ),
    ("queue create", ["q", "--ttl", "2h"], {"_default_message_ttl": 7200}),
    ("queue create", ["q", "--max-size", "64k"], {"_max_messages_post_size": 65536}),
    ("claim create", ["q", "--ttl", "15m", "--wait", "1.5m"], {"ttl": 900, "wait": 90}),
    ("queue signed url", ["q", "--ttl-seconds", "7d"], {"ttl_seconds": 604800}),
    ("subscription create", ["q", "u", "1d"], {"ttl": 86400}),
    (
        "message tail",
        ["q", "--filter", "a=paid", "--filter", "b/c>=2", "--filter", "b/c<3"],
        {
            "filter": {
                "/a": {"equals": "paid"},
                "/b/c": {"at_least": 2, "below": 3},
            }
        },
    ),
    (
        "message tail",
        ["q", "--filter", "/~0=null"],
        {"filter": {"/~0": {"equals": None}}},
    ),
    ("message tail", ["q", "--filter", "~^=1"], {"filter": {"/~0": {"prefix": "1"}}}),
    ("message post", ["q", "--lines", "--ttl", "60"], {"lines": True, "ttl": 60}),
    ("message post", ["q", "--json-lines", "--delay", "0"], {"delay": 0}),
    (
        "message list",
        ["q"],
        {
            "queue_name": "q",
            "message_ids": None,
            "limit": None,
            "echo": True,
            "include_claimed": False,
            "include_delayed": False,
            "marker": None,
            "client_id": None,
        },
    ),
    (
        "message list",
        ["q", "--echo", "--include-claimed", "--include-delayed", "--limit", "3"],
        {"echo": True, "include_claimed": True, "include_delayed": True, "limit": 3},
    ),
    ("message list", ["q", "--no-echo", "--fail-if-empty"], {"echo": False}),
    ("message list", ["q", "--message-ids", "a,b"], {"message_ids": "a,b"}),
    ("message list", ["q", "--marker", "m", "--all"], {"marker": "m", "limit": 0}),
    (
        "message tail",
        ["q", "-c", "body", "-c", "claim id"],
        {"columns": ["Body", "Claim ID"]},
    ),
    ("message show", ["q", "m"], {"queue_name": "q", "message_id": "m"}),
    ("topic list", ["--detailed", "--filter", "a=b"], {"filters": [("a", "b")]}),
    ("topic create", ["t", "--delay", "0"], {"_default_message_delay": 0}),
    ("topic message list", ["t", "--echo"], {"queue_name": "t", "echo": True}),
    ("topic subscription create", ["t", "u", "60"], {"subscriber": "u", "ttl": 60}),
    ("message pop", ["q"], {"queue_name": "q", "limit": 1, "wait": 0.0}),
    ("message pop", ["q", "--wait", "2.5"], {"wait": 2.5}),
    ("claim create", ["q", "--wait", "60"], {"wait": 60.0}),
    ("message pop", ["q", "--limit", "20"], {"limit": 20}),
    ("message delete", ["q", "m"], {"message_id": ["m"], "claim_id": None}),
    (
        "message delete",
        ["q", "m", "n", "--claim-id", "c"],
        {"message_id": ["m", "n"], "claim_id": "c"},
    ),
    ("claim create", ["q"], {"queue_name": "q", "ttl": 300, "grace": 60, "limit": 10}),
    (
        "claim create",
        ["q", "--ttl", "70", "--grace", "80", "--limit", "5"],
        {"ttl": 70, "grace": 80, "limit": 5},
    ),
    ("claim query", ["q", "c"], {"queue_name": "q", "claim_id": "c"}),
    ("claim renew", ["q", "c"], {"claim_id": "c", "ttl": None, "grace": None}),
    ("claim renew", ["q", "c", "--ttl", "60", "--grace", "61"], {"grace": 61}),
    ("claim release", ["q", "c"], {"queue_name": "q", "claim_id": "c", "more": []}),
    (
        "claim run",
        ["q", "--ttl", "60", "--", "wc", "-c"],
        {"queue_name": "q", "ttl": 60, "command": ["wc", "-c"], "count": None},
    ),
    ("claim run", ["q", "--", "wc", "--ttl"], {"command": ["wc", "--ttl"]}),
    (
        "message tail",
        ["q"],
        {
            "queue_name": "q",
            "follow": False,
            "since": None,
            "new": False,
            "filter": None,
            "limit": None,
            "echo": True,
            "timeout": None,
            "formatter": "table",
            "columns": None,
        },
    ),
    (
        "message tail",
        ["q", "--follow", "--since", "m", "--limit", "3", "--no-echo"],
        {"follow": True, "since": "m", "limit": 3, "echo": False},
    ),
    (
        "message tail",
        ["q", "--new", "--timeout", "1.5", "-f", "json", "-c", "ID", "-c", "Claim ID"],
        {"new": True, "timeout": 1.5, "columns": ["ID", "Claim ID"]},
    ),
    (
        "subscription create",
        ["q", "http://x", "600"],
        {"queue_name": "q", "subscriber": "http://x", "ttl": 600, "options": {}},
    ),
    ("subscription create", ["q", "u"], {"ttl": None, "ttl_option": None}),
    ("subscription create", ["q", "u", "--ttl", "60"], {"ttl_option": 60}),
    (
        "subscription create",
        ["q", "u", "--options", '{"a": 1}', "600"],
        {"ttl": 600, "options": {"a": 1}},
    ),
    (
        "subscription create",
        ["q", "u", "--post-data", "t", "--post-header", "A=b", "--post-header", "C="],
        {"post_data": "t", "post_headers": [("A", "b"), ("C", "")]},
    ),
    (
        "subscription create",
        ["q", "u", "--filter", '{"/a": {}}', "--retry-policy", '{"maximum_delay": 9}'],
        {"filter": {"/a": {}}, "retry_policy": {"maximum_delay": 9}},
    ),
    (
        "subscription list",
        ["q"],
        {"queue_name": "q", "marker": None, "limit": None},
    ),
    ("subscription list", ["q", "--marker", "m", "--limit", "5"], {"limit": 5}),
    ("subscription list", ["q", "--all"], {"limit": 0}),
    ("subscription show", ["q", "s"], {"queue_name": "q", "subscription_id": "s"}),
    (
        "subscription update",
        ["q", "s"],
        {"subscription_id": "s", "subscriber": None, "ttl": None, "options": None},
    ),
    (
        "subscription update",
        ["q", "s", "--subscriber", "u", "--ttl", "60", "--options", "{}"],
        {"subscriber": "u", "ttl": 60, "options": {}},
    ),
    (
        "subscription delete",
        ["q", "s", "t", "-y"],
        {"subscription_id": "s", "more": ["t"], "yes": True},
    ),
    (
        "subscription confirm",
        ["q", "s"],
        {"subscription_id": ["s"], "refuse": False},
    ),
    (
        "subscription explain",
        ["q", "s", "--message", "null"],
        {"subscription_id": "s", "filter": None, "message": None},
    ),
    (
        "subscription explain",
        ["q", "--filter", "{}", "--message-id", "m"],
        {"subscription_id": None, "filter": {}, "message_id": "m"},
    ),
    (
        "pool create",
        ["ssd", "redis://a", "0"],
        {
            "pool_name": "ssd",
            "pool_uri": "redis://a",
            "pool_weight": 0,
            "flavor": None,
            "pool_options": {},
        },
    ),
    (
        "pool create",
        ["ssd", "redis://a", "9", "--flavor", "f", "--pool_options", '{"a": 1}'],
        {"pool_weight": 9, "flavor": "f", "pool_options": {"a": 1}},
    ),
    ("pool show", ["ssd"], {"pool_name": "ssd"}),
    (
        "pool update",
        ["ssd"],
        {"pool_uri": None, "pool_weight": None, "flavor": None, "pool_options": None},
    ),
    (
        "pool update",
        ["ssd", "--pool_uri", "u", "--pool_weight", "0", "--pool-options", "{}"],
        {"pool_uri": "u", "pool_weight": 0, "pool_options": {}},
    ),
    ("pool delete", ["ssd"], {"pool_name": "ssd"}),
    ("pool list", [], {"marker": None, "limit": None, "detailed": False}),
    ("pool list", ["--marker", "a", "--limit", "2", "--detailed"], {"limit": 2}),
    ("flavor create", ["f"], {"flavor_name": "f", "pool_list": None}),
    ("flavor create", ["f", "--pool_list", "a,b"], {"pool_list": ["a", "b"]}),
    ("flavor show", ["f"], {"flavor_name": "f"}),
    ("flavor update", ["f"], {"pool_list": None, "capabilities": None}),
    (
        "flavor update",
        ["f", "--pool-list", "a", "--capabilities", '{"b": 1}'],
        {"pool_list": ["a"], "capabilities": {"b": 1}},
    ),
    ("flavor delete", ["f"], {"flavor_name": "f"}),
    ("flavor list", [], {"marker": None, "limit": None, "detailed": False}),
    ("limits", [], {"columns": []}),
    ("ping", [], {"columns": []}),
    ("health", [], {"formatter": "json"}),
    ("homedoc", [], {"formatter": "json"}),
]

REFUSED = [
    ("queue list", ["--limit", "abc"], "'abc' is not an integer"),
    ("queue list", ["--limit", "-1"], "-1 is less than 0"),
    ("queue list", ["--filter", "team"], "'team' is not of the form key=value"),
    ("queue create", [], "required: <queue_name>"),
    ("queue create", ["q", "r"], "unrecognized arguments: r"),
    ("queue create", ["q", "--property", "=1"], "not of the form key=value"),
    ("queue create", ["q", "--property", 'a={"b"'], "not valid JSON"),
    ("queue delete", [], "required: <queue_name>"),
    ("queue purge", ["q", "--resource-type", "pools"], "invalid choice: 'pools'"),
    ("queue signed url", ["q", "--paths", "stats"], "stats is not one of messages"),
    ("queue signed url", ["q", "--ttl-seconds", "0"], "0 is less than 1"),
    ("queue signed url", ["q", "--methods", "GRAB"], "GRAB is not one of GET"),
    ("queue signed url", ["q", "--output", "xml"], "invalid choice: 'xml'"),
    ("message post", ["q", "--ttl", "60", "{hello"], "<messages>: not valid JSON"),
    ("message post", ["q", "--ttl", "soon"], "'soon' is not a time such as 90, 90s"),
    ("message post", ["q", "--at", "noon"], "'noon' is not a time such as 14:30"),
    ("message post", ["q", "--at", "2001-01-01"], "2001-01-01 is over"),
    ("message post", ["q", "--field", "a"], "'a' is not of the form key=value"),
    ("message post", ["q", "--field", "a:=x"], "not valid JSON"),
    ("queue create", ["q", "--max-size", "64x"], "'64x' is not a size such as 300"),
    ("queue create", ["q", "--max-size", "0.3k"], "'0.3k' is not a size such as 300"),
    ("message tail", ["q", "--filter", "paid"], "neither a JSON object nor of the"),
    ("message tail", ["q", "--filter", "a=1", "--filter", "a=2"], "two of the same"),
    ("subscription create", ["q", "u", "--ttl", "60", "soon"], "'soon' is not a time"),
    (
        "message post",
        ["q", '[{"body": 1]'],
        "not valid JSON: Expecting ',' delimiter at column 12",
    ),
    (
        "message post",
        ["q", '{"body": NaN}'],
        "not valid JSON: NaN is not JSON at column 10",
    ),
    ("message post", ["q", '["hello"'], "--text posts it as text"),
    ("message post", ["q", "--body", '{"a"'], "not valid JSON"),
    ("message post", ["q", "--text", "a", "--body", "b"], "not allowed with"),
    ("message pop", ["q", "--limit", "0"], "0 is less than 1"),
    (
        "message pop",
        ["q", "--wait", "-1"],
        "'-1' is not a time such as 90",
    ),
    ("message tail", ["q", "--since", "a", "--new"], "not allowed with"),
    (
        "message tail",
        ["q", "--timeout", "-1"],
        "'-1' is not a time such as 90",
    ),
    (
        "message tail",
        ["q", "--timeout", "nan"],
        "is not a time such as 90",
    ),
    ("message tail", ["q", "--filter", "{"], "not valid JSON"),
    ("message tail", ["q", "-f", "yaml"], "invalid choice: 'yaml'"),
    ("message tail", ["q", "-c", "Name"], "invalid choice: 'Name'"),
    ("subscription create", ["q"], "required: <subscriber>"),
    ("subscription create", ["q", "u", "soon"], "'soon' is not a time such as"),
    ("subscription create", ["q", "u", "1", "2"], "unrecognized arguments: 2"),
    (
        "subscription create",
        ["q", "u", "--options", '{"a"'],
        "not valid JSON: Expecting ':' delimiter at column 5",
    ),
    ("subscription create", ["q", "u", "--options", "[]"], "a JSON object is expected"),
    ("subscription create", ["q", "u", "--options", "@/no/file"], "cannot read /no"),
    ("subscription create", ["q", "u", "--post-header", "A"], "of the form key=value"),
    ("subscription list", ["q", "--limit", "abc"], "'abc' is not an integer"),
    ("subscription update", ["q", "s", "--ttl", "x"], "'x' is not a time such as"),
    ("subscription explain", ["q", "s"], "--message --message-id is required"),
    ("pool create", ["ssd", "redis://a"], "required: <pool_weight>"),
    ("pool create", ["ssd", "redis://a", "-1"], "-1 is less than 0"),
    (
        "pool create",
        ["ssd", "redis://a", "1", "--pool_options", "{"],
        "not valid JSON: Expecting property name",
    ),
    ("pool list", ["--limit", "abc"], "'abc' is not an integer"),
    ("flavor create", ["f", "--pool-list", "a,,b"], "'a,,b' is not a list of names"),
    ("flavor update", ["f", "--capabilities", "{"], "not valid JSON"),
    ("claim create", ["q", "--ttl", "1.5"], "'1.5' is not a time such as"),
    ("claim query", ["q"], "required: <claim_id>"),
    ("claim run", ["q"], "required: <command>"),
]


@pytest.mark.parametrize(("name", "words", "expected"), ACCEPTED)
def test_a_parser_takes_the_arguments_of_the_contract(
    parse: Callable[..., Any], name: str, words: list[str], expected: dict[str, Any]
) -> None:
    parsed = vars(parse(name, *words))
    assert {key: parsed[key] for key in expected} == expected


@pytest.mark.parametrize(("name", "words", "text"), REFUSED)
def test_wrong_arguments_end_with_status_2_and_a_reason(
    parse: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: list[str],
    text: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(name, *words)
    assert ended.value.code == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_client_id(parse: Callable[..., Any], name: str) -> None:
    words = {
        "queue set metadata": ["q", "{}"],
        "queue unset": ["q", "--property", "a"],
        "queue export": ["q", "f"],
        "queue import": ["q", "f"],
        "queue signed url revoke": ["q", "u"],
        "message show": ["q", "m"],
        "message delete": ["q", "m"],
        "message release": ["q", "m", "--claim-id", "c"],
        "message bury": ["q", "m", "--claim-id", "c"],
        "claim query": ["q", "c"],
        "claim renew": ["q", "c"],
        "claim release": ["q", "c"],
        "claim run": ["q", "true"],
        "consume": ["q", "true"],
        "subscription create": ["q", "http://x"],
        "subscription show": ["q", "s"],
        "subscription update": ["q", "s"],
        "subscription delete": ["q", "s"],
        "subscription confirm": ["q", "s"],
        "subscription explain": ["q", "s", "--message", "1"],
        "pool create": ["p", "u", "1"],
    }
    like = name.removeprefix("topic ")  # a topic takes what a queue does
    if like != name and like.partition(" ")[0] not in {"message", "subscription"}:
        like = f"queue {like}"
    few = [] if like in {"ping", "health", "homedoc", "limits", "queue list"} else ["q"]
    few = [] if name in {"pool list", "flavor list"} else few
    arguments = [*words.get(like, few), "--client-id", "some"]
    assert parse(name, *arguments).client_id == "some"


@pytest.mark.parametrize("name", ["--options", "--filter", "--retry-policy"])
def test_an_object_can_come_from_a_file(
    parse: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    file = tmp_path / "object.json"
    file.write_text('{"ä": 1}', encoding="utf-8")
    parsed = parse("subscription create", "q", "u", name, f"@{file}")
    assert vars(parsed)[name.strip("-").replace("-", "_")] == {"ä": 1}


def test_what_a_webhook_gets_can_come_from_a_file(
    parse: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "template"
    file.write_text("é\n", encoding="utf-8")
    words = ["subscription update", "q", "s", "--post-data", f"@{file}"]
    assert parse(*words).post_data == "é\n"
    file.write_bytes(b"\xff")
    with pytest.raises(SystemExit):
        parse(*words)
    assert f"cannot read {file}: " in capsys.readouterr().err


def test_the_client_id_comes_from_the_environment(
    parse: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_MESSAGE_CLIENT_ID", "from-env")
    assert parse("message list", "q").client_id == "from-env"
    assert parse("message list", "q", "--client-id", "x").client_id == "x"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_shows_an_example_of_it(
    program: Callable[..., shell.Program], name: str
) -> None:
    text = program().command(name).get_parser(f"zaqar {name}").format_help()
    assert f"Example:\n  zaqar {name}" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_has_a_help_text(
    program: Callable[..., shell.Program], name: str
) -> None:
    parser = program().command(name).get_parser(f"zaqar {name}")
    assert [action.dest for action in parser._actions if not action.help] == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{}", "a filter has 1 to 32 conditions"),
        ('{"a": 1}', "'a' is not a JSON pointer"),
    ],
)
def test_a_filter_that_is_not_one_is_refused_before_anything_is_asked(
    run: Callable[..., Any], text: str, reason: str
) -> None:
    done = run("message", "tail", "q", "--filter", text)
    assert done.status == 2
    assert reason in done.err


def test_help_explains_the_forms_of_values_that_it_names(
    program: Callable[..., shell.Program],
) -> None:
    def help_of(name: str) -> str:
        return program().command(name).get_parser(name).format_help()

    assert "A <time> is a number of seconds, or has a unit" in help_of("queue set")
    assert "A <size> is a number of bytes, or has a unit" in help_of("queue set")
    assert "A <time>" not in help_of("queue list")


def test_a_time_of_day_is_the_next_one(parse: Callable[..., Any]) -> None:
    soon = dt.datetime.now().astimezone() + dt.timedelta(minutes=5)
    for text in (f"{soon:%H:%M:%S}", soon.isoformat(), f"{soon:%FT%T}"):
        assert 250 < parse("message post", "q", "--at", text).delay <= 301
    past = dt.datetime.now().astimezone() - dt.timedelta(minutes=5)
    delay = parse("message post", "q", "--at", f"{past:%H:%M:%S}").delay
    assert 20 * 3600 < delay < 28 * 3600


@pytest.mark.parametrize("name", COMMANDS)
def test_usage_fits_a_narrow_terminal(
    program: Callable[..., shell.Program], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    parser = program().command(name).get_parser(f"zaqar {name}")
    usage = parser.format_help().partition("\n\n")[0]
    assert " ".join(usage.split()).startswith(f"usage: zaqar {name} [-h]")
    lines = usage.splitlines()
    assert [line for line in lines if len(line) > 40 and line.count("[") > 1] == []
