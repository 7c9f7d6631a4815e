"""The cluster: one object over many hosts. Plans each command, delivers it and puts the answers together."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from nydus_core.cluster.base import ClusterBase
from nydus_core.cluster.mapping import Map
from nydus_core.command import Command
from nydus_core.delivery import Delivery, run, single_call
from nydus_core.engines import Engine, current_call
from nydus_core.errors import HostError
from nydus_core.health import Watch

__all__ = ["Cluster"]


class Cluster(ClusterBase[Engine]):
    """One object over many hosts; made by ``create_cluster``.

    Every command of the client library is a method: ``cluster.incr('foo')``. A command whose keys live on one host
    goes there. One that can be split over the hosts of its keys is. One without a key goes to all hosts, in
    parallel, and answers a list in host order; without a router every command does. A cluster of one host and no
    router answers as the host does.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: What to do about hosts that fail.
    """

    def map(
        self, workers: int | None = None, *, fail_silently: bool = False, transaction: bool = False
    ) -> Map:
        """Queue commands in a ``with`` block, and send them when it ends: one batch a host, all in parallel.

        ::

            with cluster.map() as conn:
                results = [conn.incr(key) for key in keys]

        Each call returns a promise, filled when the block ends. A block that raises sends nothing.

        Parameters:
            workers: Has no effect; nydus 0.11 took a number of threads.
            fail_silently: Do not raise ``CommandError``; failures are found in ``conn.get_errors()`` and in the
                promises.
            transaction: Each host applies all of its commands or none of them. Not across hosts.

        Raises:
            CommandError: At the end of the block, if any command failed. The others have their values.
            RoutingError: At the end of the block, if a command has no place. Nothing was sent then.
        """
        begin = self._map_call(transaction)
        return Map(self._make_surface, self._delivery.placement.by_call, begin, fail_silently)

    def close(self) -> None:
        """Close the connections to all hosts, and forget which are down. A later command opens new ones."""
        with ExitStack() as stack:  # one that cannot be closed does not keep the others open
            for watch in reversed(self._delivery.watches):
                stack.callback(watch.engine.close)
                watch.reset()

    disconnect = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Delivery ---------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command) -> Any:
        """Deliver one command and return its value. The everyday case, one key, takes the short cut."""
        delivery = self._delivery
        host = delivery.placement.single(command)
        if host is None:
            return self._deliver_planned(delivery, command)
        return self._deliver_to(delivery, host, command, False)

    def _deliver_on(self, watch: Watch[Engine], command: Command) -> Any:
        delivery = self._delivery
        return self._deliver_to(delivery, self._host_of(delivery, watch, command), command)

    def _deliver_to(self, delivery: Delivery[Engine], host: int, command: Command, bound: bool = True) -> Any:
        call = self._short_cut(delivery.watches[host])
        if call is None:
            return self._deliver_planned(delivery, command, host if bound else None)
        try:
            return call(command)
        except Exception as error:
            if not isinstance(error, HostError) and not delivery.engines[host].is_passing(error, command):
                raise
            begun = error
        try:
            return self._deliver_planned(delivery, command, host if bound else None, begun)
        finally:
            del begun  # it knows this frame

    def _deliver_planned(
        self,
        delivery: Delivery[Engine],
        command: Command,
        host: int | None = None,
        begun: Exception | None = None,
    ) -> Any:
        if delivery.placement.by_call:
            command.call = current_call()
        deadline = self._deadline()
        flow = single_call(self, delivery, command, deadline, host, begun)
        try:
            return run(flow, delivery.engines, deadline=deadline)
        finally:
            del begun, flow  # it knows this frame, which would keep it alive
