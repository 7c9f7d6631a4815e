"""redis-py's own pipelines on one host, with WATCH, and with errors that tell whether anything may have been applied.

redis-py takes a lost connection for a watched key that has changed, and its ``transaction()`` then runs again. But EXEC may
have been applied. So here a lost connection is ``MaybeApplied``.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from redis.client import Pipeline
from redis.exceptions import RedisError, WatchError

from nydus_core.command import Command, key_bytes
from nydus_core.engines import name_of
from nydus_core.errors import HostDown, HostError, MaybeApplied
from nydus_core.redaction import redactor_of
from nydus_redis.commands import Cursor, Wire, sendable
from nydus_redis.connection import ANSWERS, FAILURES, PlainLosses, hidden_loss, is_closed
from nydus_redis.surface.refusals import OnOneHost
from nydus_redis.surface.scripts import Scripts, goes_along

__all__ = ["FINAL", "HostPipeline", "OfHost", "of_group", "sent_as", "watch_is_lost"]

_Pipeline: Any = Pipeline  # has no types
#: Errors that reach the user as they are.
FINAL: tuple[type[Exception], ...] = (*ANSWERS, WatchError, HostError)


def sent_as(stack: Sequence[Any]) -> Command:
    """Return the command that stands for a whole pipeline in errors."""
    return Command(f"a pipeline of {len(stack)} command{'s' * (len(stack) != 1)}")


def watch_is_lost() -> WatchError:
    """Return the error for a pipeline whose connection was closed while keys were watched on it.

    An interrupted command closes the connection, for its answer may still come. redis-py would connect anew, where no keys are
    watched, and write over another client's value.
    """
    return WatchError(
        "a command was interrupted, which closed the connection that watched keys: nobody knows whether they have changed"
    )


def of_group(made: Any, ours: Callable[..., Any]) -> Any:
    """Return a pipeline of a group of commands, such as ``json()``, that is also a pipeline of one host.

    Parameters:
        made: The group's own pipeline.
        ours: The class of pipelines of one host. redis-py's groups make blocking pipelines for asyncio, too.
    """
    kind: Any = type(made)
    pipeline = _kind_of_group(kind, ours)(
        made.connection_pool, made.response_callbacks, made.transaction, made.shard_hint
    )
    for name, value in vars(made).items():
        vars(pipeline).setdefault(name, value)
    return pipeline


@functools.cache
def _kind_of_group(kind: Any, ours: Any) -> Any:
    fits = any(base in ours.__mro__ for base in kind.__bases__)
    bases = [kind] if fits else [base for base in kind.__bases__ if not issubclass(base, Pipeline)]
    return type(kind.__name__, (*bases, ours), {})


class OfHost(OnOneHost):
    """A pipeline that knows its host, and refuses commands that belong elsewhere or leave a state on the connection."""

    command_stack: list[Any]
    immediate_execute_command: Callable[..., Any]
    scripts: set[Any]
    watching: bool
    explicit_transaction: bool

    _engine: Any
    _wire: Wire
    _admit: Callable[[Command], None] | None

    def nydus_on(self, client: Any) -> Self:
        """Set the client of the host, which knows what belongs elsewhere; return the pipeline."""
        self._engine, self._wire, self._admit = client.nydus_engine, client.nydus_wire, client.nydus_admit
        self.nydus_scripts: Scripts = client.nydus_scripts
        return self

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Queue a script, or send it at once; with its text, unless that is long and can be loaded before."""
        redis_py: Any = super()
        foreign = next((script for script in self.scripts if script.sha == sha), None)
        script = foreign or self.nydus_scripts.script(sha)
        if script is None:
            return redis_py.evalsha(sha, numkeys, *keys_and_args)
        at_once = self.watching and not self.explicit_transaction
        if at_once or goes_along(script.script, keys_and_args):
            return redis_py.eval(script.script, numkeys, *keys_and_args)
        self.scripts.add(script)
        return redis_py.evalsha(sha, numkeys, *keys_and_args)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Queue a command; or send it at once, if keys are watched and ``multi()`` was not called yet.

        Raises:
            RoutingError: The command belongs elsewhere, or leaves a state on the connection, which is shared.
        """
        args = self._wire.gate.admit(args)
        if self._admit is not None:
            words = ("EXISTS", *args[1:]) if args[0] == "WATCH" else args
            self._admit(self._wire.describe(words, dict(options)))
        if Cursor in map(type, args):
            self._wire.describe(args, dict(options)).check_word(name_of(self._engine))
        args = sendable(args)
        if (self.watching or args[0] == "WATCH") and not self.explicit_transaction:
            return self.immediate_execute_command(*args, **options)
        return self._queued(args, options)

    def pipeline_execute_command(self, *args: Any, **options: Any) -> Any:
        """Queue a command. See ``execute_command``."""
        return self._queued(self._wire.gate.admit(args), options)

    def _queued(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args[0] == "WATCH":  # redis-py would not know of it, and leave it on the connection
            raise RedisError("WATCH cannot be queued: use watch(), before multi()")
        self.command_stack.append((args, options))
        return self

    def annotate_exception(self, exception: Exception, number: int, command: Any) -> None:
        """Name the command in the error, as redis-py does, but without values."""
        with suppress(RedisError, ValueError, IndexError):
            shown = repr(self._wire.describe(tuple(command), {}))
            exception.args = (
                f"Command # {number} ({shown}) of pipeline caused error: {exception.args[0]}",
                *exception.args[1:],
            )

    def _told_of(self, args: tuple[Any, ...]) -> Command:
        """Return the command that stands for arguments in errors: with its name, and without values."""
        spec = self._wire.lookup(words := self._wire.words(args))
        return Command(key_bytes(words[0]).decode(errors="replace") if spec is None else spec.name)


class HostPipeline(OfHost, PlainLosses, Pipeline):
    """A pipeline of redis-py on one host, sent at most once.

    Raises:
        HostDown: By ``execute``, and by a command after ``watch``, which is sent at once: nothing was sent.
        MaybeApplied: By the same methods: some or all was sent, and no answer came.
        redis.WatchError: By the same methods: a watched key has changed, or may have changed after an interrupt.
        RoutingError: By a command, if the pipeline belongs to a key: another key lives on another host.
    """

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once."""
        args = self._wire.gate.admit(args)
        command = self._told_of(args)
        if args[0] != "UNWATCH":
            self._check_watch()
        self._take_connection(command)
        return self._sent(command, lambda: _Pipeline.immediate_execute_command(self, *args, **options))

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the queued commands, and return the values by position. See redis-py."""
        if not self.command_stack and not self.watching:
            return []
        command = sent_as(self.command_stack)
        self._check_watch()
        self._take_connection(command)
        values: list[Any] = self._sent(command, lambda: Pipeline.execute(self, raise_on_error))
        return values

    def _check_watch(self) -> None:
        if self.watching and self.connection is not None and is_closed(self.connection):
            self.reset()
            raise watch_is_lost()

    def _take_connection(self, command: Command) -> None:
        if self.connection is None:
            try:
                self.connection = self._engine.connections.take()
            except FAILURES as error:
                self.reset()
                raise self._engine.failed(HostDown, error, command) from error

    def _sent(self, command: Command, send: Callable[[], Any]) -> Any:
        handled = sys.exception()
        moves = self._engine.connections.moves
        try:
            found = send()
            moves.heard_among(found if isinstance(found, list) else [found])
            return found
        except FINAL as error:
            loss = hidden_loss(error, handled)
            if loss is None:
                moves.heard(error)
                redactor_of(self._engine).clean(error)
                raise
            raise self._engine.failed(MaybeApplied, loss, command) from loss
        except FAILURES as error:
            raise self._engine.failed(self._engine.kind_of(error), error, command) from error
