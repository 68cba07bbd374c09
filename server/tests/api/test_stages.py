"""Message filters: encryption at rest, JSON Schema, and stages of others."""

import http.client
import json
import os
import subprocess
import sys
import zipfile

import pytest
from zaqarserver.errors import SettingsError
from zaqarserver.stages.encryption import MARK, UNREADABLE
from zaqarserver.storage.commands import MessageList, QueueCreate, QueueDelete

Q = "/v2/queues/orders"
KEYS = """[transport]
message_encryption_key = 0123456789abcdef0123456789abcdef
"""
NEW_KEYS = """[transport]
message_encryption_key = another key that is long enough
message_encryption_old_keys = 0123456789abcdef0123456789abcdef
"""
SECRET = {"card": "4111-1111", "who": "é"}
PATCH = {"Content-Type": "application/openstack-messaging-v2.0-json-patch"}


def stored_bodies(api, project="4f2a"):
    """What the store holds, not what the server shows."""
    found = api.run(
        api.storage.do(
            MessageList(
                project,
                "orders",
                marker=None,
                limit=20,
                now=api.now,
                include_claimed=True,
                include_delayed=True,
            )
        )
    )
    return [message.body for message in found]


def listed(api):
    answer = api.get(Q + "/messages?echo=1&include_claimed=1")
    return [message["body"] for message in answer.json["messages"]]


# -- encryption --------------------------------------------------------------------


def test_an_encrypting_queue_keeps_ciphertext_and_shows_plain_text_everywhere(make_api):
    api = make_api(KEYS)
    assert api.put(Q, {"_enable_encrypt_messages": True}).status == 201
    assert api.get(Q).json["_enable_encrypt_messages"] is True
    (id_,) = api.post_bodies("orders", SECRET)
    (kept,) = stored_bodies(api)
    assert kept.startswith(MARK)
    assert b"4111" not in kept
    assert listed(api) == [SECRET]
    assert api.get(f"{Q}/messages/{id_}").json["body"] == SECRET
    assert api.get(f"{Q}/messages?ids={id_}").json["messages"][0]["body"] == SECRET
    claim = api.post(Q + "/claims")
    assert claim.json["messages"][0]["body"] == SECRET
    where = claim.headers["location"]
    assert api.get(where).json["messages"][0]["body"] == SECRET
    api.delete(where)
    assert api.delete(Q + "/messages?pop=1").json["messages"][0]["body"] == SECRET


def test_the_same_message_is_never_encrypted_the_same_way(make_api):
    api = make_api(KEYS)
    api.put(Q, {"_enable_encrypt_messages": True})
    api.post_bodies("orders", SECRET, SECRET)
    assert len(set(stored_bodies(api))) == 2


def test_switching_encryption_leaves_what_is_stored_readable(make_api):
    api = make_api(KEYS)
    api.put(Q)
    api.post_bodies("orders", "plain", "AAECAwQ=")
    change = {"op": "add", "path": "/metadata/_enable_encrypt_messages", "value": True}
    api.patch(Q, [change], headers=PATCH)
    api.post_bodies("orders", "secret")
    api.patch(Q, [{**change, "value": False}], headers=PATCH)
    api.post_bodies("orders", "plain again")
    assert listed(api) == ["plain", "AAECAwQ=", "secret", "plain again"]


def test_a_new_key_reads_what_the_old_one_wrote_and_a_lost_one_spoils_no_list(make_api):
    api = make_api(KEYS)
    api.put(Q, {"_enable_encrypt_messages": True})
    api.post_bodies("orders", SECRET)
    newer = make_api(NEW_KEYS).server.stages
    (kept,) = stored_bodies(api)
    assert json.loads(newer.read("4f2a", "orders", kept)) == SECRET
    assert newer.read("other project", "orders", kept) == UNREADABLE
    damaged = kept[:-1] + bytes([kept[-1] ^ 1])
    assert newer.read("4f2a", "orders", damaged) == UNREADABLE
    stranger = make_api(KEYS.replace("0123", "9999")).server.stages
    assert stranger.read("4f2a", "orders", kept) == UNREADABLE
    assert newer.read("4f2a", "orders", b'"plain"') == b'"plain"'


def test_a_server_without_a_key_promises_nothing(api):
    answer = api.put(Q, {"_enable_encrypt_messages": True})
    assert answer.status == 400
    assert "message_encryption_key" in answer.json["description"]


@pytest.mark.parametrize("key", ["AES256", "short"])
def test_a_key_that_is_too_short_is_refused_at_the_start(make_api, key):
    with pytest.raises(SettingsError, match="message_encryption_key"):
        make_api(f"[transport]\nmessage_encryption_key = {key}\n")


def test_a_checksum_covers_the_plain_text(make_api):
    api = make_api(KEYS, enable_checksum=True)
    api.put(Q, {"_enable_encrypt_messages": True})
    api.post_bodies("orders", [1, 2.5, None, True])
    message = api.get(Q + "/messages?echo=1").json["messages"][0]
    assert message["checksum"] == "MD5:8c4c2df6d95e47f01855fd765d6e0c21"


# -- JSON Schema -----------------------------------------------------------------


SCHEMA = {
    "type": "object",
    "required": ["sku"],
    "properties": {"sku": {"type": "integer", "minimum": 1}},
}


def test_messages_have_to_fit_the_schema_of_their_queue(api):
    assert api.put(Q, {"_json_schema": SCHEMA}).status == 201
    api.post_bodies("orders", {"sku": 1})
    messages = [{"body": {"sku": 2}}, {"body": {"sku": 0}}]
    answer = api.post(Q + "/messages", {"messages": messages})
    assert answer.status == 400
    assert "sku" in answer.json["description"]
    assert listed(api) == [{"sku": 1}]


@pytest.mark.parametrize(
    "schema",
    [
        7,
        [],
        "x",
        {"type": 7},
        {"pattern": "("},
        {"pattern": "(?=a)b"},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "file:///etc/passwd"},
    ],
    ids=str,
)
def test_what_is_no_schema_or_points_elsewhere_is_refused(api, schema):
    answer = api.put(Q, {"_json_schema": schema})
    assert answer.status == 400
    assert "_json_schema" in answer.json["description"]


def test_a_pattern_cannot_stall_the_server(api):
    api.put(Q, {"_json_schema": {"type": "string", "pattern": "^(a+)+$"}})
    answer = api.post(Q + "/messages", {"messages": [{"body": "a" * 50_000 + "b"}]})
    assert answer.status == 400


EVERY_ITEM_TWICE = {"items": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}
TWICE_THIRTY_TIMES = {
    "$defs": {
        "0": {"type": "integer"},
        **{
            str(n + 1): {"allOf": [{"$ref": f"#/$defs/{n}"}, {"$ref": f"#/$defs/{n}"}]}
            for n in range(30)
        },
    },
    "$ref": "#/$defs/30",
}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (TWICE_THIRTY_TIMES, "too many parts"),
        ({"allOf": [{"type": "integer"}] * 501}, "too many parts"),
        ({"prefixItems": [{}] * 1000}, "1000 parts"),
        ({"$ref": "#"}, "itself"),
        ({"not": {"anyOf": [{"$ref": "#"}]}}, "itself"),
        ({"$defs": {"a": {"$anchor": "x"}}, "$ref": "#x"}, "references"),
        ({"$dynamicRef": "#"}, "$dynamicRef"),
        ({"pattern": "(x{1000}){100}"}, "regex"),
        ({"items": {"$id": "http://x.example/", "$ref": "#"}}, "$id"),
    ],
    ids=str,
)
def test_a_schema_that_may_look_without_end_is_refused(api, schema, reason):
    answer = api.put(Q, {"_json_schema": schema})
    assert answer.status == 400
    assert reason in answer.json["description"]


def test_a_schema_that_was_stored_before_its_stage_saw_it_refuses_messages(make_api):
    api = make_api("[storage]\nmessage_pipeline = json_schema\n")
    for schema in (7, {"type": 7}, {"$ref": "#"}):
        api.run(api.storage.do(QueueCreate("4f2a", "old", {"_json_schema": schema})))
        answer = api.post("/v2/queues/old/messages", {"messages": [{"body": 1}]})
        assert (answer.status, answer.json["description"][:12]) == (400, "_json_schema")
        api.run(api.storage.do(QueueDelete("4f2a", "old")))


def nested(levels):
    body = 1
    for _ in range(levels):
        body = [body]
    return body


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        (EVERY_ITEM_TWICE, nested(20)),
        ({"items": {"$ref": "#"}}, nested(33)),
        ({"items": {"allOf": [{"type": "integer"}] * 450}}, [0] * 20_000),
    ],
    ids=["branching", "deep", "long"],
)
def test_a_body_that_its_schema_would_take_too_long_for_is_refused(api, schema, body):
    assert api.put(Q, {"_json_schema": schema}).status == 201
    answer = api.post(Q + "/messages", {"messages": [{"body": body}]})
    assert answer.status == 400
    assert "_json_schema" in answer.json["description"]
    assert listed(api) == []


def test_why_a_body_does_not_fit_is_told_in_few_words(api):
    names = [str(number) * 9 for number in range(200)]
    for schema in ({"type": "integer"}, {"anyOf": [{"const": name} for name in names]}):
        api.put(Q, {"_json_schema": schema})
        answer = api.post(Q + "/messages", {"messages": [{"body": "x" * 100_000}]})
        assert answer.status == 400
        assert len(answer.json["description"]) < 500
        api.delete(Q)


def test_one_body_may_have_any_number_of_mistakes(api):
    # Only the first is looked for: all of them would take minutes.
    api.put(Q, {"_json_schema": {"items": {"anyOf": [{"type": "string"}] * 200}}})
    answer = api.post(Q + "/messages", {"messages": [{"body": [0] * 12_000}]})
    assert "body[0]" in answer.json["description"]


TREE = {
    "$id": "http://x.example/tree",
    "type": "object",
    "properties": {
        **{f"p{n}": {"type": ["string", "null"], "maxLength": 9} for n in range(20)},
        "left": {"$ref": "#"},
        "right": {"$ref": "#"},
        "kind": {"$ref": "#/$defs/a~1kind"},
    },
    "$defs": {"a/kind": {"oneOf": [{"const": "leaf"}, {"const": "node"}]}},
    "unevaluatedProperties": False,
}


def test_trees_and_long_lists_are_checked(api):
    tree = {"kind": "leaf"}
    for _ in range(16):
        tree = {"p1": "x", "left": tree, "right": {"kind": "leaf"}, "kind": "node"}
    assert api.put(Q, {"_json_schema": TREE}).status == 201
    api.post_bodies("orders", tree)
    tree["left"]["right"]["kind"] = "root"
    answer = api.post(Q + "/messages", {"messages": [{"body": tree}]})
    assert "'left']['right']['kind'" in answer.json["description"]
    api.put("/v2/queues/rows", {"_json_schema": {"items": TREE}})
    api.post_bodies("rows", [{"p1": "x", "kind": "leaf"}] * 5000)


# -- stages of others -------------------------------------------------------------


def test_an_unknown_stage_is_named_at_the_start(make_api):
    with pytest.raises(SettingsError, match="'fly' is not installed"):
        make_api("[storage]\nmessage_pipeline = fly\n")


def test_the_older_name_of_the_notifier_is_taken(make_api):
    api = make_api("[storage]\nmessage_pipeline = zaqar.notification.notifier\n")
    api.post_bodies("orders", 1)
    assert listed(api) == [1]


STAGE = '''
import json

from zaqarserver.errors import BadRequest
from zaqarserver.stages.base import StageContext, Stage


class Stamp(Stage):
    """Stamps objects, drops nulls, refuses what says so; hides the stamp again."""

    reads = True

    def post(self, context: StageContext, body: bytes) -> bytes | None:
        value = json.loads(body)
        if value is None:
            return None
        if value == "refuse me":
            raise BadRequest("This stage refuses it.")
        return json.dumps({"stamp": context.queue, "value": value}).encode()

    def read(self, context: StageContext, body: bytes) -> bytes:
        value = json.loads(body)
        assert value["stamp"] == context.queue
        return json.dumps(value["value"]).encode()
'''


@pytest.fixture
def installed_stage(tmp_path):
    """A distribution with a stage, installed by pip into a folder of its own."""
    wheel = tmp_path / "stamp-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("stamp.py", STAGE)
        info = "stamp-1.0.dist-info/"
        archive.writestr(
            info + "METADATA", "Metadata-Version: 2.1\nName: stamp\nVersion: 1.0\n"
        )
        archive.writestr(
            info + "WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(
            info + "entry_points.txt", "[zaqarserver.stages]\nstamp = stamp:Stamp\n"
        )
        archive.writestr(info + "RECORD", "")
    target = tmp_path / "site"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-index",
            "--no-deps",
            "--target",
            target,
            wheel,
        ],
        check=True,
    )
    return target


def test_an_installed_stage_changes_drops_and_refuses(
    installed_stage, server_factory, monkeypatch
):
    paths = [str(installed_stage), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    server = server_factory(
        options="[storage]\nmessage_pipeline = stamp\n", is_cold=True
    )
    headers = {"Client-ID": "3381af922b9e11e3b19171861300734c", "X-Project-ID": "p"}

    def ask(method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        result = answer.status, json.load(answer)
        connection.close()
        return result

    def post(*bodies):
        document = json.dumps({"messages": [{"body": body} for body in bodies]})
        return ask("POST", Q + "/messages", document)

    assert len(post({"a": 1}, None, "x")[1]["resources"]) == 2
    assert post(None) == (201, {"resources": []})
    status, error = post("refuse me")
    assert (status, error["description"]) == (400, "This stage refuses it.")
    found = ask("GET", Q + "/messages?echo=1")[1]["messages"]
    assert [message["body"] for message in found] == [{"a": 1}, "x"]
    server.stop()
