"""A hook plugin that reports slow commands: python examples/slow_commands.py."""

from collections.abc import Sequence

from nydus.db import create_cluster
from nydus_core import hookimpl, plugins
from nydus_core.command import Command


class SlowCommands:
    """Reports commands, and whole map() blocks, that take at least ``limit`` seconds."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    @hookimpl
    def nydus_command_done(
        self, command: Command, hosts: Sequence[str], error: Exception | None, seconds: float
    ) -> None:
        if seconds >= self.limit:
            print(
                f"slow: {command!r} on {', '.join(hosts)}, {seconds * 1e3:.0f} ms{', failed' if error else ''}"
            )

    @hookimpl
    def nydus_batch_done(self, commands: Sequence[Command], seconds: float) -> None:
        if seconds >= self.limit:
            print(f"slow: a map() of {len(commands)} commands, {seconds * 1e3:.0f} ms")


plugins.register(SlowCommands(limit=0.1))

with create_cluster({"engine": "embedded", "router": "partition", "hosts": 2}) as cluster:
    cluster.ping()
    cluster.set("fast", 1)
    cluster.blpop("jobs", timeout=0.2)
    with cluster.map() as conn:
        conn.blpop("jobs:1", timeout=0.2)
        conn.blpop("jobs:2", timeout=0.2)
