"""Hosts whose name leads elsewhere by now: after a failover a server says that it is a replica, and its connections are old.

With a failover by DNS, or behind a proxy for TCP, a new connection leads to the new primary. An open connection stays with the
old server, which refuses every write from then on. So when a server says that it is a replica, no connection from before is used
again. The next attempt connects anew, and has the name resolved anew.
"""

from __future__ import annotations

from typing import Any

from nydus_redis.connection.replies import says_replica

__all__ = ["Moves"]


class Moves:
    """Notes that the server behind a host is a replica. One object for a host; threads and event loops share it.

    Attributes:
        count: How often a server said so. A connection that was opened at another count is not used again.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def heard(self, answer: Any) -> bool:
        """Tell whether an outcome is the answer of a replica. Then no connection from before is used again."""
        if isinstance(answer, Exception) and says_replica(answer):
            self.count += 1
            return True
        return False

    def heard_among(self, outcomes: list[Any]) -> bool:
        """Tell the same of the outcomes of a pipeline."""
        if not any(issubclass(kind, Exception) for kind in set(map(type, outcomes))):
            return False
        return any(self.heard(outcome) for outcome in outcomes)
