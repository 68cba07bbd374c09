"""A story of the whole path: a server, the commands, the SDK, notifications.

Each chapter is a function; to tell more, write one and add it to ``STORY``.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable

from postbox import postbox
from stage import DemoError, Stage, server


def post_and_list(stage: Stage) -> None:
    """Post messages and look at them."""
    stage.chapter(
        "Post and list",
        "Posting creates the queue. Whoever lists sees every message.",
    )
    stage.run(
        """zaqar message post orders '[{"body": {"item": "tea", "count": 2}},"""
        """ {"body": "cake", "ttl": 600}]'"""
    )
    stage.run("zaqar message list orders -c Body -c TTL -c Age")


def claim_and_delete(stage: Stage) -> None:
    """Work on one message from the shell."""
    stage.chapter(
        "Claim, work, delete",
        "A claimed message is this worker's until the claim ends. When the work is\n"
        "done the message is deleted, with the claim as the permission.",
    )
    output = stage.run("zaqar claim create orders --limit 1 -f json")
    (claimed,) = json.loads(output)
    claim, message = claimed["Claim_ID"], claimed["Message_ID"]
    stage.run(f"zaqar message delete orders {message} --claim-id {claim}")


def openstack(stage: Stage) -> None:
    """Show the same commands in ``openstack``."""
    stage.chapter("The same inside openstack", "The plug-in has the same commands.")
    stage.run("openstack messaging queue stats orders")


def sdk(stage: Stage) -> None:
    """Show a worker in Python."""
    stage.chapter("A worker in Python", "Posts three more, then empties the queue.")
    stage.python("worker.py")


def dead_letter(stage: Stage) -> None:
    """Let a message fail until it is put aside."""
    stage.chapter(
        "A message that nobody can handle",
        "It may be claimed once here. Given back, it is put aside at the next claim.",
    )
    stage.run("zaqar queue create mail --max-claims 1 --dead-letter-queue mail.failed")
    stage.run("zaqar message post mail --text 'to: nobody'")
    output = stage.run("zaqar claim create mail -f json")
    stage.run(f"zaqar claim release mail {json.loads(output)[0]['Claim_ID']}")
    stage.run("zaqar claim create mail")
    stage.run("zaqar message list mail.failed -c Body")


def websocket(stage: Stage) -> None:
    """Show a subscriber over WebSocket."""
    stage.chapter(
        "Told at once",
        "A program subscribes over WebSocket; what is posted from now on is pushed.",
    )
    listener = stage.start("listener.py")
    listener.show()
    stage.run("""zaqar message post news '{"body": {"headline": "Tea is ready"}}'""")
    listener.show()


def webhook_and_mail(stage: Stage) -> None:
    """Show a webhook and a mail."""
    stage.chapter(
        "A webhook and a mailbox",
        "The server tells them, again and again if need be, also after a restart.\n"
        "The webhook wants urgent news only, and checks the signature.",
    )
    receiver = stage.start("receiver.py", shown=False)
    url = receiver.show().split()[-1]
    stage.run(
        f"""zaqar subscription create news {url}"""
        """ --filter '{"/urgent": {"equals": true}}'"""
    )
    stage.run(
        """zaqar subscription create news 'mailto:ops@example.com?subject=News'"""
        """ --options '{"from": "zaqar@example.com"}'"""
    )
    stage.run(
        """zaqar message post news"""
        """ '{"body": {"headline": "No more tea", "urgent": true}}'"""
    )
    receiver.show()
    receiver.show()
    stage.show_mail()


STORY: list[Callable[[Stage], None]] = [
    post_and_list,
    claim_and_delete,
    openstack,
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
    print(f"\nThe server is stopped. That took {seconds:.0f} seconds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
