"""A client that asks in frames and waits for the answers."""

import json

import msgspec
import websocket

CLIENT = "0d4f6a0e-52bb-4a9c-9b57-0a3f6f1f2c11"


class Socket:
    """A connection that asks and waits for the answer."""

    def __init__(self, url, project="p", *, binary=False):
        self.headers = {"Client-ID": CLIENT, "X-Project-ID": project}
        self.binary = binary
        self.peer = websocket.create_connection(url, timeout=10)

    def send(self, frame):
        if self.binary:
            self.peer.send_binary(msgspec.msgpack.encode(frame))
        else:
            self.peer.send(json.dumps(frame))

    def receive(self):
        opcode, data = self.peer.recv_data()
        if opcode == websocket.ABNF.OPCODE_BINARY:
            return "binary", msgspec.msgpack.decode(data)
        assert opcode == websocket.ABNF.OPCODE_TEXT, (opcode, data)
        return "text", json.loads(data)

    def ask(self, action, body=None, headers=None):
        frame = {
            "action": action,
            "headers": self.headers if headers is None else headers,
        }
        if body is not None:
            frame["body"] = body
        self.send(frame)
        kind, answer = self.receive()
        assert kind == ("binary" if self.binary else "text")
        assert set(answer) == {"request", "body", "headers"}
        assert answer["request"] == {
            "action": action,
            "body": {} if body is None else body,
            "headers": frame["headers"],
            "api": "v2",
        }
        return answer["headers"]["status"], answer["body"]

    def do(self, action, **body):
        return self.ask(action, body)


def post(socket, *bodies, queue="orders", **fields):
    status, body = socket.do(
        "message_post",
        queue_name=queue,
        messages=[{"body": item, **fields} for item in bodies],
    )
    assert status == 201, body
    return body["message_ids"]
