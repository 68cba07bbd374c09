# ruff: noqa: PT009 - the cases that run here are unittest's, as those that import it
"""What suites written against earlier versions import from ``zaqarclient.tests``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import pytest

from zaqarclient.queues.v2 import core
from zaqarclient.tests import base
from zaqarclient.tests.mock import message as mock_message
from zaqarclient.tests.queues import base as queues_base
from zaqarclient.tests.transport import api, dummy
from zaqarclient.transport import http
from zaqarclient.transport.request import Request
from zaqarclient.transport.response import Response


def outcome(case: type[unittest.TestCase]) -> unittest.TestResult:
    """Run the tests of a class as unittest does."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


def assert_all_well(case: type[unittest.TestCase], tests: int) -> None:
    result = outcome(case)
    assert (result.errors, result.failures, result.skipped) == ([], [], [])
    assert result.testsRun == tests


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OS_", "ZAQARCLIENT_")):
            monkeypatch.delenv(name)


def test_a_case_has_a_configuration_without_authentication_and_may_change_it() -> None:
    class Case(base.TestBase):
        def test_it(self) -> None:
            options = {"os_project_id": "my-project"}
            noauth = {"backend": "noauth", "options": options}
            self.assertEqual({"auth_opts": noauth}, self.conf)
            self.config(client_uuid="u", timeout=2)
            self.config(group="auth_opts", backend="keystone")
            self.config("other", colour="red")
            self.assertEqual("u", self.conf["client_uuid"])
            self.assertEqual("keystone", self.conf["auth_opts"]["backend"])
            self.assertEqual({"colour": "red"}, self.conf["other"])

        def test_that_it_does_not_last(self) -> None:
            self.assertEqual(["auth_opts"], list(self.conf))

    assert_all_well(Case, 2)


# The library speaks of a part of its own.
@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_a_case_takes_real_credentials_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ZAQARCLIENT_AUTH_FUNCTIONAL", "1")
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:1/v3")
    monkeypatch.setenv("OS_USERNAME", "alice")
    monkeypatch.setenv("OS_PASSWORD", "secret")
    monkeypatch.setenv("OS_PROJECT_NAME", "sales")

    class Case(base.TestBase):
        def test_it(self) -> None:
            self.assertEqual("keystone", self.conf["auth_opts"]["backend"])
            options = self.conf["auth_opts"]["options"]
            self.assertEqual("http://127.0.0.1:1/v3", options["os_auth_url"])
            self.assertEqual("alice", options["os_username"])

    assert_all_well(Case, 1)


def test_a_case_puts_answers_in_the_transport_of_its_client() -> None:
    class Case(queues_base.QueuesTestBase):
        transport_cls = http.HttpTransport
        url = "http://127.0.0.1:8888"
        version = 2

        def test_calls_go_over_the_transport(self) -> None:
            given = [mock_message.message(href="/v2/queues/1/messages/7", ttl=60)]
            with mock.patch.object(self.transport, "send", autospec=True) as send:
                send.return_value = Response(None, json.dumps({"messages": given}))
                found = next(self.queue.pop(count=1))
            self.assertEqual(("7", 60, None), (found.id, found.ttl, found.body))
            (request,) = send.call_args.args
            self.assertEqual("message_delete_many", request.operation)
            self.assertEqual({"queue_name": 1, "pop": 1}, request.params)
            self.assertEqual("my-project", request.headers["X-Project-Id"])

        def test_the_client_of_the_transport_is_what_sends(self) -> None:
            """Section 21: ``HttpTransport.client.request`` is replaced."""
            with mock.patch.object(self.transport.client, "request") as sent:
                sent.return_value = mock.Mock(
                    status_code=201, text='{"resources": ["a"]}', headers={}
                )
                posted = self.queue.post({"body": 1})
            self.assertEqual({"resources": ["a"]}, posted)
            sent.assert_called_once()
            self.assertEqual(("POST",), sent.call_args.args)
            self.assertEqual(
                "http://127.0.0.1:8888/v2/queues/1/messages",
                sent.call_args.kwargs["url"],
            )

    assert_all_well(Case, 2)


def test_with_the_dummy_transport_every_call_has_an_empty_answer() -> None:
    class Case(queues_base.QueuesTestBase):
        def test_it(self) -> None:
            self.assertIsInstance(self.transport, dummy.DummyTransport)
            self.queue.ensure_exists(force_create=True)
            self.queue.delete()
            self.assertEqual([], list(self.queue.messages()))
            self.assertEqual([], list(self.queue.claim(ttl=60, grace=60)))
            self.assertEqual({"resources": []}, self.queue.post({"body": 1}))
            self.assertIsNone(self.client.health())
            self.assertTrue(self.client.ping())

    assert_all_well(Case, 1)


def test_functional_cases_are_skipped_unless_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Case(queues_base.QueuesTestBase):
        is_functional = True

        def test_it(self) -> None:
            self.assertEqual(queues_base.ZAQAR_ENDPOINT, self.client.api_url)

    assert [why for _, why in outcome(Case).skipped] == [
        "ZAQARCLIENT_TEST_FUNCTIONAL is not set"
    ]
    monkeypatch.setenv("ZAQARCLIENT_TEST_FUNCTIONAL", "1")
    assert_all_well(Case, 1)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ZAQAR_ENDPOINT": "https://z.example:1"}, "https://z.example:1"),
        ({"ZAQAR_SERVICE_HOST": "10.0.0.7"}, "http://10.0.0.7:8888"),
    ],
)
def test_the_service_of_functional_cases_is_named_by_the_environment(
    variables: dict[str, str], expected: str
) -> None:
    program = (
        "from zaqarclient.tests.queues import base; "
        "print(base.QueuesTestBase.url, base.QueuesTestBase.version)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **variables},
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert printed == f"{expected} 2\n"


def test_core_functions_fill_in_a_bare_request_for_a_dummy_transport() -> None:
    request = Request()
    core.queue_create(dummy.DummyTransport(), request, "orders", metadata={"a": 1})
    assert request.operation == "queue_create"
    assert request.params == {"queue_name": "orders"}
    assert json.loads(request.content or "") == {"a": 1}


@pytest.mark.parametrize("ids", ["m1", ["m1"], ("m1",), {"m1"}])
def test_ids_may_come_in_any_form(ids: object) -> None:
    for function in (core.message_get_many, core.message_delete_many):
        request = Request()
        function(dummy.DummyTransport(), request, "orders", ids)
        assert request.params["ids"] == ["m1"]


def test_a_claim_answered_by_a_bare_list_has_its_messages() -> None:
    href = "/v2/queues/1/messages/7?claim_id=c9"
    transport = dummy.DummyTransport()
    with mock.patch.object(transport, "send", autospec=True) as send:
        send.return_value = Response(None, json.dumps([{"href": href}]))
        claimed = core.claim_create(transport, Request(), "orders", ttl=60)
    assert claimed == {"messages": [{"href": href}]}


def test_the_fake_api_knows_one_operation() -> None:
    fake = api.FakeApi()
    assert fake.is_supported("test_operation")
    assert fake.validate("test_operation", {"name": "a", "address": "b"})
    assert not fake.validate("test_operation", {"address": "b"})
    assert not fake.validate("test_operation", {"name": "a", "colour": "b"})
