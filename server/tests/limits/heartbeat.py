"""A process that asks a server every 10 ms whether it is there.

``python heartbeat.py PORT PID`` prints, when its input ends, for how long the server
kept it waiting at most, in seconds. Where other processes share the machine that is
less than the time of the answer: what counts is the time that the server's event loop
was *running* meanwhile.
"""

import http.client
import select
import sys
import time
from pathlib import Path

PERIOD = 0.01


def main(port: int, pid: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    longest = 0.0
    with Path(f"/proc/{pid}/schedstat").open("rb", buffering=0) as schedule:

        def ran() -> float:
            schedule.seek(0)
            return int(schedule.read().split()[0]) / 1e9

        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], PERIOD)[0]:
            began, before = time.monotonic(), ran()
            connection.request("GET", "/")
            connection.getresponse().read()
            longest = max(longest, min(time.monotonic() - began, ran() - before))
    print(longest, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
