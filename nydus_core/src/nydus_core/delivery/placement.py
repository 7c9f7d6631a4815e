"""Where commands belong: a router, and the hosts that it speaks of. No I/O.

The module is long on purpose: all rules of where a command goes, or why it goes nowhere, stand on one page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from nydus_core.command import Command, Scope, Word
from nydus_core.delivery.crossing import crossing, remedies
from nydus_core.errors import ForeignWordError, RoutingError, blend_routing_error
from nydus_core.routers import BaseRouter, Router, Spread, locate_all, stand_in

__all__ = ["Placement", "Route"]


class Route(NamedTuple):
    """Where one command goes: its parts, their hosts, and the function that makes one value of the values of the parts."""

    hosts: Sequence[int]
    parts: Sequence[Command]
    join: Callable[[Sequence[Any]], Any] | None


P = ParamSpec("P")
T = TypeVar("T")
_Method = Callable[Concatenate["Placement", P], T]


def _in_client_terms(method: _Method[P, T]) -> _Method[P, T]:
    """Return a method whose ``RoutingError`` is also an error of the client library."""

    def call(self: Placement, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return method(self, *args, **kwargs)
        except RoutingError as error:
            blend_routing_error(error, self.client_error)
            raise

    return cast("_Method[P, T]", wraps(method)(call))


class Placement:
    """A router, and the hosts that it speaks of.

    Parameters:
        keys: The keys of the hosts in the settings, in host order.
        router: Decides; None sends every command to all hosts. The only host of a cluster gets every command, whatever
            the router: nobody has to choose.
        client_error: The root of the client library's errors, of which each ``RoutingError`` is an instance, too.
    """

    def __init__(
        self,
        keys: Sequence[Any],
        router: Router | BaseRouter | None,
        client_error: type[Exception] | None = None,
    ) -> None:
        self.client_error = client_error
        self.names = tuple(str(key) for key in keys)
        self._by_name = {name: index for index, name in enumerate(self.names)}
        self._keys = list(keys)
        self._everywhere = range(len(self.names))
        #: The router.
        self.router = router
        self._router = cast(Router, router)
        #: Whether there is one host. It answers as itself: no lists, and no command without a place.
        self.sole = len(self.names) == 1
        self.by_call = isinstance(router, BaseRouter)
        self.by_keys = not self.by_call and router is not None and self._router.spread is Spread.KEY
        self._locate_all = locate_all(self._router) if self.by_keys else None
        self._any = not self.by_call and router is not None and self._router.spread is Spread.ANY
        #: Returns the index of the host of a command with one key or one host, the everyday case; else None.
        self.single: Callable[[Command], int | None] = lambda command: None
        if self.sole and not self.by_call:
            self.single = self._only
        elif self.by_keys:
            self.single = self._single_by_key()

    def groups(self, keys: Sequence[bytes]) -> Mapping[int, list[int]] | None:
        """Return the positions of the keys of each host, by the index of the host, in the order in which they come up.

        None if that cannot be told at once, or if a key has no host: then each command is placed on its own, and tells why.
        """
        if self.sole and not self.by_call:
            return {0: [*range(len(keys))]}
        if self._locate_all is None:
            return None
        try:
            return {self._by_name[name]: positions for name, positions in self._by_home(keys).items()}
        except Exception:
            return None

    def _by_home(self, keys: Sequence[bytes], avoid: Collection[str] = ()) -> dict[str, list[int]]:
        """Return the positions of the keys of each host, by the name of the host."""
        if self._locate_all and not avoid:
            homes = [*self._locate_all(keys)]
            if len(homes) != len(keys):
                raise RoutingError(
                    f"{type(self._router).__name__}.locate_all() gave {len(homes)} hosts for {len(keys)} keys"
                )
        else:
            locate = self._router.locate
            homes = [locate(key, avoid) for key in keys]
        found: dict[str, list[int]] = {}
        for position, name in enumerate(homes):
            if name in found:
                found[name].append(position)
            else:
                found[name] = [position]
        return found

    def _single_by_key(self) -> Callable[[Command], int | None]:
        locate, by_name = self._router.locate, self._by_name  # no look-ups on the way of every command

        def single(command: Command) -> int | None:
            keys = command.keys
            if len(keys) != 1 or command.patterns:
                return None
            try:
                name = locate(keys[0])
                if command.word is not None:
                    command.check_word(name)
                try:
                    return by_name[name]
                except KeyError:
                    raise self._no_such_host(name, command) from None
            except RoutingError as error:
                blend_routing_error(error, self.client_error)
                raise

        return single

    def _only(self, command: Command) -> int | None:
        if command.scope is Scope.CONNECTION:
            return None
        if command.word is not None:
            self.check_word(command, self.names[0])
        return 0

    @_in_client_terms
    def route(self, command: Command) -> Route:
        """Return where a command goes.

        Raises:
            CrossHostError: Its keys, or those of its patterns, live on several hosts, and it cannot be split.
            ForeignWordError: It holds a word of another host than the one that it would go to.
            RoutingError: It has no place: it belongs to a connection, or its keys cannot be told.
            HostListExhausted: The router has no host left.
        """
        route = self._route(command)
        if command.word is not None:
            for host in route.hosts:
                command.check_word(self.names[host])
        return route

    def _route(self, command: Command) -> Route:
        if command.scope is Scope.CONNECTION:
            raise RoutingError(
                f"{command.name} only has a meaning on a connection of one host: {command.own_connection}, with host one "
                f"of {', '.join(self.names)}"
            )
        if command.scope is Scope.HOST and not command.keys and not self.sole:
            raise RoutingError(f"{command.name} is for one host, which has to be named: {self._on_host()}")
        if self.by_call:
            return self._several(command, self._called(command))
        if self.sole:
            return Route((0,), (command,), None)
        if self.by_keys and command.keys:
            return self._keyed(command)
        if command.word is not None:
            return Route((self._giver(command, command.word),), (command,), None)
        if self._chosen(command):
            return Route((self._next(command),), (command,), None)
        if self.by_keys and command.scope is Scope.UNKNOWN:
            raise RoutingError(f"cannot tell the keys of {command.name}: {command.state_keys}")
        return self._several(command, self._everywhere, always_list=True)

    def takes_any(self, command: Command) -> bool:
        """Tell whether any host will do for a command, so that each time it is another one's turn."""
        return self._any and not self.sole and self._chosen(command) and command.word is None

    def _giver(self, command: Command, word: Word) -> int:
        """Return the index of the host that gave the word in a command, where no key says which host it is."""
        if word.host is None or not self._any:
            raise ForeignWordError(
                f"{command!r}: only the host that gave the {word.kind} understands it, and nobody can tell here which "
                f"one it was: {self._on_host()}. Nothing was sent"
            )
        if word.host not in self._by_name:
            raise ForeignWordError(
                f"{command!r}: host {word.host!r}, which gave the {word.kind}, has left the cluster: begin anew. Nothing "
                "was sent"
            )
        return self._by_name[word.host]

    @_in_client_terms
    def check_word(self, command: Command, host: str) -> None:
        """Refuse a command with a word that another host gave. See ``Command.check_word``."""
        command.check_word(host)

    @_in_client_terms
    def home(self, key: bytes) -> int:
        """Return the index of the host that a key belongs to, whether it is up or not.

        Raises:
            RoutingError: The router gives no key a host of its own.
        """
        if self.sole:
            return 0
        if not self.by_keys:
            raise RoutingError(f"here no key has a host of its own: {self._on_host()}")
        return self._index(self._router.locate(key), key)

    @_in_client_terms
    def admit(self, command: Command, host: str, key: Any) -> None:
        """Refuse a command that is meant for one host and belongs to others.

        Parameters:
            command: The command.
            host: The name of the host.
            key: The key that it was chosen by.

        Raises:
            RoutingError: One of its keys lives elsewhere, or they cannot be told, or keys of a pattern may live elsewhere.
        """
        if self.sole and host == self.names[0]:
            return
        if command.scope is Scope.UNKNOWN and not command.keys:
            raise RoutingError(
                f"cannot tell the keys of {command.name}: {command.state_keys}; or use cluster.on({host!r})"
            )
        for other in command.keys:
            home = self.names[self.home(other)]
            if home != host:
                raise RoutingError(
                    f"{command.name}: {other!r} lives on host {home!r}; this is host {host!r}, that of {key!r}. "
                    f"Nothing was sent. Use cluster.on_key() with that key, or cluster.on({host!r}) to have it here"
                )
        for pattern in command.patterns:
            if self._home_of(pattern) != host:
                raise RoutingError(
                    f"{command.name}: keys of the pattern {pattern!r} may live on other hosts than {host!r}, that of "
                    f"{key!r}. Nothing was sent. {remedies(self._router, command, host)}"
                )

    def may_move(self, command: Command) -> bool:
        """Tell whether a command may go to another host than the one that the router chose first.

        A router that takes any host has none that a command could be bound to, unless it holds a word of one.
        """
        return self._chosen(command) and not (command.word if self._any else command.bound)

    def _chosen(self, command: Command) -> bool:
        """Tell whether the router chose the host of a command, so that it can be asked for another one."""
        if self.by_keys:
            return bool(command.keys)
        return self._any and (bool(command.keys) or command.scope is Scope.UNKNOWN)

    def elsewhere(self, command: Command, avoid: Collection[int]) -> Route:
        """Return where a command goes while some hosts are to be avoided.

        Raises:
            HostListExhausted: There is no other host.
            CrossHostError: Without these, its keys live on several hosts, and it cannot be split.
            RoutingError: The router gave one of them all the same.
        """
        names = [self.names[host] for host in avoid]
        route = (
            self._keyed(command, names)
            if self.by_keys
            else Route((self._next(command, names),), (command,), None)
        )
        for host in route.hosts:
            if host in avoid:
                raise RoutingError(
                    f"{type(self._router).__name__} gave host {self.names[host]!r}, which was to be avoided"
                )
        return route

    def _on_host(self) -> str:
        return f"use cluster.on(host), with host one of {', '.join(self.names)}"

    def _next(self, command: Command, avoid: Collection[str] = ()) -> int:
        key = command.keys[0] if command.keys else b""
        return self._index(self._router.locate(key, avoid), command)

    def _index(self, name: str, sought: Command | bytes) -> int:
        if name not in self._by_name:
            raise self._no_such_host(name, sought)
        return self._by_name[name]

    def _no_such_host(self, host: Any, sought: Command | bytes) -> RoutingError:
        return RoutingError(
            f"{type(self._router).__name__} gave host {host!r} for {sought!r}; the hosts are {self._keys}"
        )

    def _several(self, command: Command, hosts: Sequence[int], always_list: bool = False) -> Route:
        join = list if always_list or len(hosts) > 1 else None
        return Route(hosts, (command,) * len(hosts), join)

    def _keyed(self, command: Command, avoid: Collection[str] = ()) -> Route:
        if command.patterns:
            return self._patterned(command, avoid)
        groups = self._by_home(command.keys, avoid)
        hosts = [self._index(name, command) for name in groups]
        if len(hosts) == 1:
            return Route(hosts, (command,), None)
        split = command.split
        if split is None:
            keys = command.keys
            places = {name: [keys[at] for at in found] for name, found in groups.items()}
            raise crossing(self._router, command, places)
        positions = list(groups.values())
        parts = split.cut(command, positions)
        return Route(hosts, parts, lambda values: split.join(command, positions, values))

    def _patterned(self, command: Command, avoid: Collection[str]) -> Route:
        """Return where a command with patterns goes: to the one host of all its keys and of all keys of its patterns."""
        places: dict[str, list[bytes]] = {}
        for key in command.keys:
            places.setdefault(self._router.locate(key, avoid), []).append(key)
        loose: list[bytes] = []
        for pattern in command.patterns:
            home = self._home_of(pattern, avoid)
            (loose if home is None else places.setdefault(home, [])).append(pattern)
        if loose or len(places) > 1:
            raise crossing(self._router, command, places, loose)
        return Route((self._index(next(iter(places)), command),), (command,), None)

    def _home_of(self, pattern: bytes, avoid: Collection[str] = ()) -> str | None:
        """Return the name of the host of all keys of a pattern; None if they may live on several."""
        key = stand_in(self._router, pattern)
        return None if key is None else self._router.locate(key, avoid)

    def _called(self, command: Command) -> list[int]:
        attr, args, kwargs = command.call or (command.name, command.args, command.kwargs)
        router = cast(BaseRouter, self._router)
        keys = list(router.get_dbs(attr=attr, args=args, kwargs=kwargs))
        if not keys:
            raise RoutingError(f"{type(router).__name__} gave no host for {command!r}")
        for key in keys:
            if str(key) not in self._by_name:
                raise self._no_such_host(key, command)
        return list(dict.fromkeys(self._by_name[str(key)] for key in keys))  # named twice, applied once
