"""Redis servers that stand in for each other, on loopback: a cluster, and sentinels."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from ports import free_cluster_port
from redis_service import RedisServer, find_program

_PATIENCE = 40.0
_SLOTS = 16384

#: Milliseconds of silence after which a server is taken for dead.
NODE_TIMEOUT = 1000


def wait_until(true: Callable[[], bool], what: str) -> None:
    """Wait for an asynchronous change in other processes."""
    deadline = time.monotonic() + _PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        # Polling other processes, not waiting for a guess to pass.
        time.sleep(0.05)


class RedisCluster:
    """Three masters, and a replica of each.

    Attributes:
        nodes: The masters as they were at first, then their replicas.
    """

    def __init__(self, directory: Path, *settings: str) -> None:
        self.nodes = [
            RedisServer(
                directory / f"node{number}",
                *("--cluster-enabled", "yes"),
                *("--cluster-node-timeout", str(NODE_TIMEOUT)),
                *("--cluster-require-full-coverage", "no"),
                *("--appendonly", "yes"),
                *settings,
            )
            for number in range(6)
        ]

    @property
    def uri(self) -> str:
        """The URI of a store on it, with some of its nodes."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:4])
        return f"redis+cluster://{hosts}"

    def start(self) -> None:
        """Start all of it and wait until every replica has what its master has."""
        for node in self.nodes:
            node.start()
        masters, replicas = self.nodes[:3], self.nodes[3:]
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(masters[0].port))
        for number, master in enumerate(masters):
            slots = (slot for slot in range(_SLOTS) if self.shard(slot) == number)
            master.ask("CLUSTER", "ADDSLOTS", *map(str, slots))
        for master, replica in zip(masters, replicas, strict=True):
            name = (master.ask("CLUSTER", "MYID") or b"").split()[1].decode()
            wait_until(
                lambda replica=replica, name=name: (
                    b"+OK" in (replica.ask("CLUSTER", "REPLICATE", name) or b"")
                ),
                "replicas know their masters",
            )
        wait_until(self.is_well, "the cluster is well")

    @staticmethod
    def shard(slot: int) -> int:
        """Return which of the first masters has a slot."""
        return slot // -(-_SLOTS // 3)

    def is_well(self) -> bool:
        """Return True if every running node is in service."""
        running = [node for node in self.nodes if node.is_running]
        return all(
            b"cluster_state:ok" in (node.ask("CLUSTER", "INFO") or b"")
            and b"master_link_status:down"
            not in (node.ask("INFO", "replication") or b"")
            for node in running
        )

    def masters(self) -> list[RedisServer]:
        """Return the nodes that take changes now."""
        return [node for node in self.nodes if node.is_running and node.is_master]

    def stop(self) -> None:
        """End all of it."""
        for node in self.nodes:
            node.kill()


class RedisSentinels:
    """A master with two replicas, and three sentinels.

    Attributes:
        servers: The master as it was at first, then the replicas.
    """

    def __init__(self, directory: Path, *settings: str) -> None:
        master = RedisServer(directory / "server0", "--appendonly", "yes", *settings)
        self._directory = directory
        self.servers = [
            master,
            *(
                RedisServer(
                    directory / f"server{number}",
                    *("--replicaof", "127.0.0.1", str(master.port)),
                    *("--appendonly", "yes"),
                    *("--repl-diskless-sync-delay", "0"),
                    *settings,
                )
                for number in (1, 2)
            ),
        ]
        self.ports = [free_cluster_port() for _ in range(3)]
        self._sentinels: list[subprocess.Popen[bytes]] = []

    @property
    def uri(self) -> str:
        """The URI of a store on it."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://{hosts}/main"

    def start(self) -> None:
        """Start all of it and wait until every sentinel knows all."""
        for server in self.servers:
            server.start()
        wait_until(
            lambda: (
                (self.servers[0].ask("INFO", "replication") or b"").count(b"online")
                == 2
            ),
            "the replicas have what the master has",
        )
        for port in self.ports:
            self._sentinels.append(self._start_sentinel(port))
        wait_until(
            lambda: all(
                b"sentinels=3" in info and b"slaves=2" in info and b"status=ok" in info
                for info in (self._ask_sentinel(port) for port in self.ports)
            ),
            "the sentinels know all",
        )

    def _start_sentinel(self, port: int) -> subprocess.Popen[bytes]:
        path = self._directory / f"sentinel{port}.conf"
        path.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor main 127.0.0.1 {self.servers[0].port} 2\n"
            f"sentinel down-after-milliseconds main {NODE_TIMEOUT}\n"
            "sentinel failover-timeout main 3000\n"
        )
        with (self._directory / f"sentinel{port}.log").open("ab") as log:
            return subprocess.Popen(
                [find_program(), str(path), "--sentinel"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def sentinel_pids(self) -> list[int]:
        """The processes of the sentinels."""
        return [process.pid for process in self._sentinels]

    def _ask_sentinel(self, port: int) -> bytes:
        probe = RedisServer(self._directory, port=port)
        return probe.ask("INFO", "sentinel") or b""

    def master(self) -> RedisServer:
        """Return the server that takes changes now."""
        return next(one for one in self.servers if one.is_running and one.is_master)

    def stop(self) -> None:
        """End all of it."""
        for process in self._sentinels:
            process.kill()
            process.wait()
        for server in self.servers:
            server.kill()
