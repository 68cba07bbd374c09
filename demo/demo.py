"""A story of the whole path: a server, the commands, the SDK, notifications.

Each chapter is a function; to tell more, write one and add it to ``STORY``.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable

from postbox import postbox
from stage import BIN, DemoError, Stage, server


def post_and_list(stage: Stage) -> None:
    """Post messages and look at them."""
    stage.chapter("Post and list", "Posting creates the queue. Listing takes nothing.")
    stage.run("zaqar message post orders 'Tea for two'")
    stage.run("zaqar message post orders --field item=cake --field count:=3 --ttl 10m")
    stage.run("zaqar message list orders")


def claim_and_delete(stage: Stage) -> None:
    """Work on one message from the shell."""
    stage.chapter(
        "Claim, work, delete",
        "A claimed message is this worker's until the claim ends. When the work is\n"
        "done the message is deleted, with the claim as the permission.",
    )
    ids = "-f value -c Claim_ID -c Message_ID"
    output = stage.run(f"zaqar claim create orders --limit 1 {ids}")
    claim, message = re.findall(r"\b[0-9a-f]{20,}\b", output)
    stage.run(f"zaqar message delete orders {message} --claim-id {claim}")
    stage.run("zaqar queue stats orders")


def sdk(stage: Stage) -> None:
    """Show a worker in Python."""
    stage.chapter("A worker in Python", "It posts three more, then empties the queue.")
    stage.python("worker.py")


def dead_letter(stage: Stage) -> None:
    """Let a message fail until it is put aside."""
    stage.chapter(
        "A message that nobody can handle",
        "It may be claimed once here. Given back, it is put aside at the next claim.",
    )
    stage.run("zaqar queue create mail --max-claims 1 --dead-letter-queue mail.failed")
    stage.run("zaqar message post mail 'to: nobody'")
    output = stage.run("zaqar claim create mail -f value -c Claim_ID")
    (claim,) = re.findall(r"\b[0-9a-f]{20,}\b", output)
    stage.run(f"zaqar claim release mail {claim}")
    stage.run("zaqar claim create mail")
    stage.run("zaqar message list mail.failed -c Body")


def websocket(stage: Stage) -> None:
    """Show a subscriber over WebSocket."""
    stage.chapter(
        "Pushed at once",
        "A program subscribes over WebSocket; what is posted from now on is pushed.",
    )
    listener = stage.start("listener.py")
    listener.show()
    stage.run("zaqar message post news --field headline='Tea is ready'")
    listener.show()


def webhook_and_mail(stage: Stage) -> None:
    """Show a webhook and a mail."""
    stage.chapter(
        "A webhook and a mailbox",
        "The server notifies them, again and again if need be, also after a restart.\n"
        "The webhook wants urgent news only, and checks the signature.",
    )
    receiver = stage.start("receiver.py", shown=False)
    url = receiver.show().split()[-1]
    wanted = """--filter '{"/urgent": {"equals": true}}'"""
    stage.run(f"zaqar subscription create news {url} {wanted}")
    sender = """--options '{"from": "zaqar@example.com"}'"""
    stage.run(f"zaqar subscription create news mailto:ops@example.com {sender}")
    stage.run("zaqar message post news --field headline='No tea' --field urgent:=true")
    receiver.show()
    receiver.show()
    stage.show_mail()


# As short as it can be typed here.
_PROGRAMS = shlex.quote(os.path.relpath(BIN))
_NEXT = f"""
Now you, in two terminals:

  {_PROGRAMS}/zaqarserver
  {_PROGRAMS}/zaqar message post orders 'Tea for two'
  {_PROGRAMS}/zaqar message list orders
"""

STORY: list[Callable[[Stage], None]] = [
    post_and_list,
    claim_and_delete,
    sdk,
    dead_letter,
    websocket,
    webhook_and_mail,
]


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Tell the story; return the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        with postbox() as mails, server(mails.port) as url, Stage(url, mails) as stage:
            print(f"A zaqarserver runs on {url}, with a store that is thrown away.")
            for chapter in STORY:
                chapter(stage)
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; the server is stopped", file=sys.stderr)
        return 130
    seconds = time.monotonic() - started
    print(f"\nThe server is stopped. That took {seconds:.0f} seconds.\n{_NEXT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
