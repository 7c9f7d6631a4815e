"""The cluster: one object over many hosts. Plans each command, delivers it and puts the answers together."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Any, NoReturn, Self

from nydus_core.cluster.base import ClusterBase
from nydus_core.cluster.mapping import Map
from nydus_core.command import Command
from nydus_core.delivery import run
from nydus_core.engines import Engine, current_call
from nydus_core.health import Announcer, Watch, WatchBase

__all__ = ["Cluster"]


class Cluster(ClusterBase[Engine]):
    """One object over many hosts; made by ``create_cluster``.

    Every command of the client library is a method: ``cluster.incr('foo')``. A command whose keys live on one host
    goes there. One that can be split over the hosts of its keys is. One without a key goes to all hosts, in
    parallel, and answers a list in host order; without a router every command does. A cluster of one host answers as
    that host does, without lists.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: The settings about hosts that fail.
    """

    _announcer_class = Announcer
    _watch_class = Watch

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
        begin = self._begin_map(transaction)
        return Map(self._make_surface, self._snapshot.placement.by_call, begin, fail_silently)

    def close(self) -> None:
        """Close the connections to all hosts, and forget which are down. A later command opens new ones."""
        with ExitStack() as stack:  # one that cannot be closed does not keep the others open
            for watch in reversed(self._snapshot.watches):
                stack.enter_context(watch.redactor.cleaning())
                stack.callback(watch.engine.close)
                watch.reset()

    disconnect = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aenter__(self, *_: object) -> NoReturn:
        raise TypeError(
            "this cluster is blocking: write 'with cluster:', or make it with create_async_cluster"
        )

    __aexit__ = __aenter__

    # Delivery ---------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command, pinned: WatchBase[Engine] | None = None) -> Any:
        snapshot = self._snapshot
        index = snapshot.placement.single(command) if pinned is None else snapshot.index_of(pinned, command)
        direct = None if index is None else self._direct(snapshot.watches[index])
        first_error: Exception | None = None
        if direct is not None and index is not None:
            try:
                return direct(command)
            except Exception as error:
                snapshot.watches[index].redactor.clean(error)
                if snapshot.is_answer(error, index, command):
                    raise
                first_error = error  # the rest is left to the call, which tries again
        if snapshot.placement.by_call:
            command.call = current_call()
        call = self._call(snapshot, host=None if pinned is None else index, first_error=first_error)
        try:
            return run(call.single(command, index), call.engines, call.deadline)
        finally:
            del call, first_error  # it knows this frame, which would keep it alive
