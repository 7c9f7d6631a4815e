"""``cluster.pipeline()``: a ``map()`` with redis-py's names. Commands are queued, and sent as one batch a host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from redis.client import Pipeline
from redis.exceptions import ExecAbortError, RedisError

from nydus_core.command import Command, Outcome, Scope, outcome_of
from nydus_core.errors import CommandFailure, HostError
from nydus_redis.commands import Wire, need_no_connection
from nydus_redis.errors import RoutingError
from nydus_redis.surface.only_host import HandsOver
from nydus_redis.surface.refusals import NO_WATCHING, Queued
from nydus_redis.surface.scripts import Scripts

__all__ = ["ClusterPipeline", "ClusterPipelineBase"]

_OF_CONNECTION = Scope.CONNECTION

#: Of several errors the gravest is raised: the outcome about which least is known.
_GRAVITY = {Outcome.VALUE: 0, Outcome.SERVER_ERROR: 1, Outcome.NOT_SENT: 2, Outcome.MAYBE_APPLIED: 3}


class ClusterPipelineBase(HandsOver, Queued, Pipeline):
    """Queues commands; the pipelines of both sides send them. See ``ClusterPipeline``, also for the parameters."""

    def __init__(
        self,
        cluster: Any,
        pool: Any,
        callbacks: Any,
        wire: Wire,
        scripts: Scripts,
        transaction: bool,
    ) -> None:
        super().__init__(pool, callbacks, transaction, None)
        self._cluster = cluster
        self._wire = wire
        self.nydus_scripts = scripts
        self._commands: list[Command] = []
        self._results: list[Any] = []
        self._failures: list[CommandFailure] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Queue a command, and return the pipeline; or send it at once, while keys are watched, until ``multi()``.

        Raises:
            RoutingError: Nobody can tell the keys of the command, or it leaves a state on its connection.
        """
        if self._held is not None:
            done = self._held.execute_command(*args, **options)
            return self if done is self._held else done
        command = self._wire.describe(args, dict(options))
        if command.scope is _OF_CONNECTION:  # asked here, too: a call takes time
            need_no_connection(command)
        self.command_stack.append((args, options))
        self._commands.append(command)
        return self

    pipeline_execute_command = execute_command

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Queue a script. The text of a registered script is sent with it, so that no host has to know the script."""
        own: Any = next((script.script for script in self.scripts if script.sha == sha), None)
        text = self.nydus_scripts.text(sha) if own is None else own
        if text is not None:
            return self.eval(text, numkeys, *keys_and_args)
        return super().evalsha(sha, numkeys, *keys_and_args)

    def _taken(self) -> tuple[list[Command], bool]:
        """Take the queued commands out of the queue; return them, and whether they are sent as transactions."""
        commands, transaction = self._commands, self.transaction or self.explicit_transaction
        self._forget()
        self._results, self._failures = [], []
        return commands, bool(transaction)

    def _queue(self, conn: Any, commands: Sequence[Command]) -> None:
        for command in commands:
            conn.nydus_dispatch(command)

    def _ended(self, commands: Sequence[Command], conn: Any, raise_on_error: bool) -> list[Any]:
        self._note(conn)
        if self._failures and raise_on_error:
            raise _to_raise(commands, self._failures)
        return list(self._results)

    def _note(self, conn: Any) -> None:
        self._results, self._failures = conn.get_results(), conn.get_errors()
        for failure in self._failures:
            self._results[failure.position] = failure.error

    def get_results(self) -> list[Any]:
        """Return the values and errors of the last ``execute``, by position."""
        return list(self._results)

    def get_errors(self) -> list[CommandFailure]:
        """Return the commands that failed in the last ``execute``, by position."""
        return list(self._failures)

    def _forget(self) -> None:
        self._held = None
        self.command_stack = []
        self._commands = []
        self.scripts = set()
        self.explicit_transaction = False

    def multi(self) -> None:
        """Have each host apply all of its commands or none. Only before the first command.

        While keys are watched, end the commands that are sent at once: from here on commands are queued.

        Raises:
            redis.RedisError: A command is queued already, or ``multi`` was called before.
        """
        if self._held is not None:
            self._held.multi()
            return
        if self.explicit_transaction or self.command_stack:
            raise RedisError("multi() comes before the first command, and once")
        self.explicit_transaction = True

    def watch(self, *names: Any) -> Any:
        """Watch keys, as redis-py's pipelines do, in a cluster of one host.

        Raises:
            RoutingError: The cluster has several hosts, and keys are watched on a connection of one host.
        """
        held = self._hand_over(names, bool(self.transaction))
        if held is None:
            raise RoutingError(NO_WATCHING)
        return held.watch(*names)

    def unwatch(self) -> Any:
        """Watch no keys any more."""
        return True if self._held is None else self._held.unwatch()

    def discard(self) -> NoReturn:
        """Refuse: nothing has been sent that could be discarded.

        Raises:
            RoutingError: Always.
        """
        raise RoutingError("nothing has been sent yet: reset() forgets what is queued")

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once, while keys are watched. Otherwise refuse: a pipeline of a cluster only queues.

        Raises:
            RoutingError: No keys are watched.
        """
        if self._held is not None:
            return self._held.immediate_execute_command(*args, **options)
        raise RoutingError("a pipeline of a cluster only queues: use the cluster itself")


class ClusterPipeline(ClusterPipelineBase):
    """Queues commands, and sends them when ``execute`` is called: one batch a host, all hosts at once.

    Every command of redis-py is a method, and returns the pipeline itself.

    Parameters:
        cluster: The cluster.
        pool: A pool that gives redis-py the encoding of text.
        callbacks: redis-py's functions that parse replies.
        wire: The maker of commands.
        scripts: The registered scripts.
        transaction: Whether each host applies all of its commands or none. With all keys on one host, this is a
            transaction as redis-py has it. There is no transaction across hosts.

    Attributes:
        command_stack: The queued commands, each as its words and its options, as redis-py has them.
    """

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the queued commands, and empty the queue.

        Parameters:
            raise_on_error: Raise an error if a command failed. If not, errors stand among the values.

        Returns:
            The values, by position.

        Raises:
            RoutingError: A command has no place. Nothing was sent.
            Exception: The gravest error, and of equals the first. Gravest is the error of a command that may have been
                applied, then of a command that was not sent, then a server's own error. The notes of the error name the
                other errors; ``get_results`` and ``get_errors`` return everything.
        """
        if self._held is not None:
            return self._executed_there(raise_on_error)
        commands, transaction = self._taken()
        if not commands:
            return []
        with self._cluster.map(fail_silently=True, transaction=transaction) as conn:
            self._queue(conn, commands)
        return self._ended(commands, conn, raise_on_error)

    def reset(self) -> None:  # type: ignore[override]  # redis-py, too, has this method beside a command of that name
        """Empty the queue, and watch no keys any more."""
        held = self._held
        self._forget()
        if held is not None:
            held.reset()

    def _executed_there(self, raise_on_error: bool) -> list[Any]:
        """Send the commands on the connection that watches keys."""
        stack = list(self.command_stack)
        try:
            values: list[Any] = self._held.execute(raise_on_error)
        finally:
            self._forget()
        self._results, self._failures = values, self._failures_among(stack, values)
        return list(values)


def _gravity(failure: CommandFailure) -> tuple[int, bool]:
    """Return a number that is higher the graver a failure is. EXECABORT tells less than the error that caused it."""
    return _GRAVITY[outcome_of(failure.error)], not isinstance(failure.error, ExecAbortError)


def _to_raise(commands: Sequence[Command], failures: Sequence[CommandFailure]) -> Exception:
    """Return the error to raise, worded as redis-py does, with all others in its notes."""
    gravest = max(failures, key=_gravity)
    error = gravest.error
    where = f"Command # {gravest.position + 1} ({commands[gravest.position]!r}) of pipeline"
    if isinstance(error, HostError) or not error.args:
        error.add_note(where)
    else:
        error.args = (f"{where} caused error: {error.args[0]}", *error.args[1:])
    for failure in failures:
        if failure is not gravest:
            error.add_note(f"also failed: {failure}")
    return error
