"""A program's first lines: the names of the package, the client, what it says."""

from __future__ import annotations

import ast
import datetime as dt
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import zaqarclient as zq
from zaqarclient.tests.http_stub import Answer, HttpStub
from zaqarclient.tests.identity_stub import IdentityStub
from zaqarclient.transport import errors
from zaqarclient.transport.request import encode

MakeClient = Callable[..., zq.Client]
MESSAGE = {"id": "m1", "href": "/v2/queues/q/messages/m1?claim_id=c1"}
MESSAGE |= {"ttl": 60, "age": 0, "body": 1}  # type: ignore[dict-item]


# -- the names of the package ----------------------------------------------------------


def test_every_name_of_the_package_is_there() -> None:
    for name in zq.__all__:
        assert getattr(zq, name) is not None
        assert name in dir(zq)
    assert zq.NotFound is errors.ResourceNotFound
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = zq.Nothing  # type: ignore[attr-defined]


def test_type_checkers_see_the_names_that_a_program_does() -> None:
    tree = ast.parse(Path(zq.__file__).read_text())
    named = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named - {"annotations", "TYPE_CHECKING", "Any", "import_module"} == {
        *zq.__all__
    }


def test_importing_the_package_loads_nothing_of_the_rest() -> None:
    code = (
        "import sys, zaqarclient\n"
        "print([n for n in sys.modules if n.startswith('zaqarclient.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "['zaqarclient.version']"


# -- the client ------------------------------------------------------------------------


def test_a_project_is_all_that_a_service_without_authentication_needs(
    stub: HttpStub,
) -> None:
    stub.default = Answer(200, {"queues": [], "links": []})
    with zq.Client(stub.url, project="demo") as zaqar:
        assert isinstance(zaqar, zq.Client)
        zaqar.queues()
        assert repr(zaqar) == f"<Client {stub.url} project demo>"
        assert repr(zaqar.queue("q")) == "<Queue q>"
    assert stub.last.headers["x-project-id"] == "demo"
    assert "x-auth-token" not in stub.last.headers


@pytest.mark.parametrize(
    ("url", "conf"),
    [
        ("http://127.0.0.1", {"auth_opts": {"options": {"auth_token": "t"}}}),
        ("zaqar+http://127.0.0.1/v2/queues/q?signature=1", None),
    ],
)
def test_a_project_beside_other_credentials_is_refused(
    url: str, conf: dict[str, Any] | None
) -> None:
    with pytest.raises(ValueError, match="project is for a service without"):
        zq.Client(url, conf=conf, project="demo")


def test_a_mistyped_key_of_conf_and_argument_is_reported() -> None:
    with pytest.warns(zq.UnknownNameWarning, match="'timeuot': did you mean 'timeout'"):
        zq.Client(conf={"timeuot": 3})
    with pytest.raises(TypeError, match="did you mean 'project'"):
        zq.Client("http://h", projct="demo")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean 'project'"):
        zq.AsyncClient("http://h", projct="demo")  # type: ignore[call-arg]
    # Some programs send it there.
    zq.Client(conf={"session": None})


def test_what_is_shown_of_a_client_has_no_password() -> None:
    assert repr(zq.Client("http://me:secret@h:1/x")) == "<Client http://h:1/x>"
    assert repr(zq.Client()) == "<Client of a catalog>"
    assert repr(zq.AsyncClient("http://h", project="p")) == (
        "<AsyncClient http://h project p>"
    )


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_a_cloud_is_connected_to_by_its_name(
    stub: HttpStub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.default = Answer(200, {"queues": [], "links": []})
    with HttpStub().running() as running:
        identity = IdentityStub(running, stub.url)
        auth = {"auth_url": identity.url, "username": "alice", "password": "secret"}
        names = ("project_name", "user_domain_id", "project_domain_id")
        clouds = {
            "mycloud": {"auth": {**auth, **dict.fromkeys(names, "default")}},
            "here": {"queues_endpoint": stub.url, "queues_project_id": "p7"},
        }
        clouds["mycloud"]["region_name"] = "one"  # type: ignore[assignment]
        file = tmp_path / "clouds.yaml"
        file.write_text(json.dumps({"clouds": clouds}))
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(file))
        with zq.connect(cloud="mycloud", conf={"retries": 0}) as zaqar:
            zaqar.queues()
            zaqar.queues()
            assert zaqar.api_url == stub.url
        assert stub.last.headers["x-auth-token"] == "token-1"
        assert identity.given == 1
        with zq.connect("here") as zaqar:
            zaqar.queues()
        assert stub.last.headers["x-project-id"] == "p7"
        with pytest.raises(zq.AuthenticationFailed, match="cloud play: "):
            zq.connect("play")


# -- messages, claims, lists -----------------------------------------------------------


def test_the_answer_to_a_post_has_the_ids_and_is_the_mapping_that_it_was(
    queue: zq.Queue, stub: HttpStub
) -> None:
    paths = ["/v2/queues/q/messages/m1", "/v2/queues/q/messages/m2"]
    stub.default = Answer(201, {"resources": paths})
    posted = queue.post([{"body": 1}, {"body": 2}])
    assert posted == {"resources": paths}
    assert posted["resources"] == paths
    assert posted.ids == ["m1", "m2"]


def test_names_that_the_service_ignores_are_warned_of(
    client: zq.Client, stub: HttpStub
) -> None:
    queue = client.queue("orders")
    stub.default = Answer(201, {"resources": ["/v2/queues/q/messages/m1"]})
    with pytest.warns(zq.UnknownNameWarning, match="'tll': did you mean 'ttl'"):
        queue.post({"body": 1, "tll": 60})
    stub.default = Answer(200, {})
    with pytest.warns(zq.UnknownNameWarning, match="'_ttl': did you mean '_default_m"):
        queue.patch_metadata([{"op": "add", "path": "/metadata/_ttl", "value": 60}])
    with pytest.warns(zq.UnknownNameWarning, match="'_max_claims': did you mean"):
        queue.metadata({"_max_claims": 3, "colour": "red"})
    stub.default = Answer(201, {"subscription_id": "s1"})
    with pytest.warns(zq.UnknownNameWarning, match="'frm': did you mean 'from'"):
        client.subscription("orders", "mailto:a@example.org", options={"frm": 1})
    known = client.subscription("orders", id="s1", auto_create=False)
    with pytest.warns(zq.UnknownNameWarning, match="'tll': did you mean 'ttl'"):
        known.update({"tll": 60})
    with pytest.raises(TypeError, match="did you mean 'ttl'"):
        client.subscription("orders", tll=60)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"iter_messages\(\).*did you mean 'echo'"):
        queue.iter_messages(ecoh=True)  # type: ignore[call-arg]


def test_a_claim_is_released_if_the_work_fails_and_only_then(
    queue: zq.Queue, stub: HttpStub, caplog: pytest.LogCaptureFixture
) -> None:
    claimed = Answer(201, {"messages": [MESSAGE]})
    stub.default = Answer(204)
    stub.answers = [claimed]
    with queue.claim(ttl=60) as claim:
        assert [message.body for message in claim] == [1]
    assert [method for method, _ in stub.calls()] == ["POST"]
    stub.answers = [claimed, Answer(403)]
    with pytest.raises(KeyError), queue.claim(ttl=60) as claim:
        raise KeyError
    assert stub.calls()[-1] == ("DELETE", "/v2/queues/orders/claims/c1")
    assert "claim c1 could not be released" in caplog.text


def test_a_list_shows_what_is_left_of_it(queue: zq.Queue, stub: HttpStub) -> None:
    links = [{"rel": "next", "href": "/v2/queues/q/messages?marker=m1"}]
    stub.default = Answer(200, {"messages": [MESSAGE], "links": links})
    assert repr(queue.messages()) == "<Listing of messages: 1 to come>"
    assert repr(queue.iter_messages()) == (
        "<Listing of messages: 1 to come, further pages follow>"
    )


# -- errors ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"when": dt.date(2031, 3, 3)}, "messages[0].body.when"),
        ([1, {"x": [float("nan")]}], "messages[0].body[1].x[0]"),
        ({(1, 2): 3}, "messages[0].body"),
    ],
)
def test_what_cannot_be_sent_is_named(body: Any, where: str, queue: zq.Queue) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared
        queue.post({"body": body})
    assert str(caught.value).startswith(f"{where} cannot be sent as JSON: ")


def test_a_document_that_holds_itself_ends_the_search() -> None:
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(ValueError, match=r"\[0\] cannot be sent as JSON"):
        encode({"a": itself})


def test_the_second_retry_is_a_warning(
    client: zq.Client,
    stub: HttpStub,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The commands hide them; other tests may have run some in this process.
    monkeypatch.setattr(logging.getLogger("zaqarclient.transport.retry"), "filters", [])
    stub.answers = [Answer(503), Answer(503), Answer(503)]
    stub.default = Answer(200, {"queues": [], "links": []})
    with caplog.at_level(logging.INFO, "zaqarclient.transport.retry"):
        client.queues()
    levels = [record.levelname for record in caplog.records]
    assert levels == ["INFO", "WARNING", "WARNING"]
    assert "without id" not in caplog.text
