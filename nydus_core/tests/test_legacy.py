"""Classes written for the extension points of nydus 0.11 work as they are.

The classes here are written as 0.11's documentation and tests show: connections with ``connect()`` and
``disconnect()`` or with commands of their own, pipelines, and routers that answer the keys of hosts.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from clusters import memory_cluster
from engines import MemoryEngine, PipelinedEngine, Store
from nydus.db import create_cluster
from nydus.db.backends.base import BaseConnection, BasePipeline
from nydus.db.exceptions import CommandError
from nydus.db.routers.base import BaseRouter, routing_params
from nydus_core import HostDown, MaybeApplied, ReentrantCall, RoutingError
from nydus_core.command import Outcome
from nydus_core.engines.surface import current_call, remember_call

# Connections ------------------------------------------------------------------------------------------------------


class DictConnection(BaseConnection):
    def connect(self) -> dict[str, Any]:
        return {"host": self.num}

    def disconnect(self) -> None:
        self.connection.clear()


class Responding(BaseConnection):
    """Has no client at all: its commands are its own methods."""

    def __init__(self, num: Any, resp: str = "foo", **kwargs: Any) -> None:
        self.resp = resp
        super().__init__(num, **kwargs)

    def foo(self, *args: Any, **kwargs: Any) -> str:
        return self.resp


class Named(BaseConnection):
    """Has attributes of its own with everyday names."""

    def __init__(self, num: Any, name: str = "", place: str = "", **kwargs: Any) -> None:
        super().__init__(num, **kwargs)
        self.name, self.place = name, place

    def connect(self) -> dict[str, Any]:
        return {}

    def disconnect(self) -> None:
        """There is nothing to close."""


def test_a_connection_may_have_attributes_of_any_name() -> None:
    cluster = create_cluster({"engine": Named, "hosts": {"a": {"name": "disk", "place": "left"}}})

    host: Any = cluster.hosts["a"]

    assert (host.name, host.place) == ("disk", "left")


def test_connect_and_disconnect_are_enough() -> None:
    cluster = create_cluster({"backend": DictConnection, "hosts": {0: {}, 1: {}}})
    assert cluster.get("host") == [0, 1]
    host: Any = cluster[0]
    client = host.connection
    cluster.disconnect()
    assert client == {}


def test_connects_once_and_only_at_first_use() -> None:
    connected = []

    class Counting(DictConnection):
        def connect(self) -> dict[str, Any]:
            connected.append(self.num)
            return super().connect()

    cluster = create_cluster({"backend": Counting, "hosts": {0: {}, 1: {}}})
    assert connected == []
    cluster.get("host")
    cluster.get("host")
    assert sorted(connected) == [0, 1]


def test_a_closed_connection_is_opened_anew() -> None:
    connection = DictConnection(0)
    first = connection.connection
    connection.close()
    assert connection.connection is not first


def test_closing_what_is_not_connected_does_nothing() -> None:
    DictConnection(0).close()


class Interrupted(BaseConnection):
    """Is used by a signal handler, or so it looks, while it connects."""

    cluster: Any
    seen: Exception | None = None

    def connect(self) -> dict[str, Any]:
        with pytest.raises(HostDown) as caught:
            self.cluster.get("a")
        type(self).seen = caught.value
        return {"a": "value"}

    def disconnect(self) -> None:
        """There is nothing to close."""


def test_a_call_in_the_middle_of_its_own_connect_is_not_sent_and_no_fault_of_the_host() -> None:
    Interrupted.cluster = cluster = create_cluster({"engine": Interrupted, "hosts": {"a": {}}})

    assert cluster.get("a") == "value"

    assert isinstance(getattr(Interrupted.seen, "__cause__", None), ReentrantCall)
    assert "this thread is connecting to the host" in str(Interrupted.seen)
    assert cluster.health()["a"].failures == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("survives", [False, True])
def test_a_child_process_connects_anew_unless_the_client_may_be_shared(survives: bool) -> None:
    class Forked(DictConnection):
        survives_fork = survives

    cluster = create_cluster({"engine": Forked, "hosts": {"a": {}}})
    cluster.setdefault("pid", os.getpid())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
        child = os.fork()
    if not child:
        os._exit(7 if cluster.get("pid") is None else 8)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (8 if survives else 7)
    assert cluster.get("pid") == os.getpid()


def test_a_method_of_the_connection_is_a_command() -> None:
    cluster = create_cluster({"backend": Responding, "hosts": {0: {"resp": "foo"}, 1: {"resp": "bar"}}})
    assert cluster.foo() == ["foo", "bar"]
    assert cluster.foo("key", option=1) == ["foo", "bar"]


def test_a_method_of_the_connection_comes_before_the_one_of_its_client() -> None:
    class Shouting(MemoryEngine):
        def who(self, key: str) -> str:
            return f"{self.connection.who(key)}!"

    cluster = create_cluster({"backend": Shouting, "hosts": {"a": {}}})
    assert cluster.who("key") == "a!"
    assert cluster.ping() == "pong from a"


def test_a_method_of_the_connection_is_a_command_also_where_it_has_a_pipeline() -> None:
    class Shouting(PipelinedEngine):
        def shout(self, key: str = "") -> str:
            return f"{self.connection.who(key)}!"

    cluster = create_cluster({"backend": Shouting, "hosts": {"a": {}, "b": {}}})
    assert cluster.shout() == ["a!", "b!"]


def test_attributes_of_a_host_are_those_of_its_client() -> None:
    cluster = create_cluster({"backend": MemoryEngine, "hosts": {"a": {}}})
    host: Any = cluster["a"]
    assert host.ping() == "pong from a"
    assert cluster["a"].num == "a"


def test_a_list_of_positional_arguments_comes_before_the_defaults() -> None:
    settings = {"backend": Responding, "hosts": [["bar"], "baz"], "defaults": {"timeout": 1}}
    assert create_cluster(settings).foo() == ["bar", "baz"]


def test_a_constructor_that_takes_any_number_of_arguments_gets_them() -> None:
    class Variadic(Responding):
        def __init__(self, num: Any, *parts: str) -> None:
            super().__init__(num, "/".join(parts))

    assert create_cluster({"backend": Variadic, "hosts": [["a", "b", "c"]]}).foo() == "a/b/c"


def test_retryable_exceptions_may_be_a_list_and_mark_a_lost_connection() -> None:
    class Flaky(Responding):
        retryable_exceptions = [OSError]  # noqa: RUF012

        def foo(self, *args: Any, **kwargs: Any) -> str:
            raise TimeoutError("boom!")

    with pytest.raises(TimeoutError, match="boom!") as caught:
        create_cluster({"backend": Flaky, "hosts": [{}]}).foo("key")
    assert isinstance(caught.value, MaybeApplied)


def test_a_connection_without_connect_says_what_to_define() -> None:
    class Empty(BaseConnection):
        pass

    with pytest.raises(HostDown, match=r"Empty has to define connect\(\)"):
        create_cluster({"backend": Empty, "hosts": [{}]}).get("key")


@pytest.mark.timeout(5)  # it once waited for itself
def test_a_mistake_in_connect_is_shown_as_it_is() -> None:
    attempts = []

    class Mistaken(BaseConnection):
        def connect(self) -> Any:
            attempts.append(1)
            return self.optoins["host"]

    with pytest.raises(HostDown, match="optoins"):
        create_cluster({"backend": Mistaken, "hosts": [{}], "retry": {"attempts": 1}}).get("key")
    assert len(attempts) == 1


def test_a_mistake_in_connect_is_shown_also_where_the_client_is_asked_for() -> None:
    class Mistaken(BaseConnection):
        def connect(self) -> Any:
            raise AttributeError("optoins")

    for name in ("connection", "get"):
        with pytest.raises(AttributeError, match="optoins"):
            getattr(Mistaken(0), name)


def test_a_method_of_the_connection_that_cannot_connect_was_not_sent() -> None:
    class Shouting(MemoryEngine):
        def shout(self, key: str) -> str:
            return f"{self.connection.who(key)}!"

    with pytest.raises(HostDown, match="shout b'key' was not taken"):
        create_cluster({"backend": Shouting, "hosts": [{"down": True}]}).shout("key")


# Routers ----------------------------------------------------------------------------------------------------------


class ByCall(BaseRouter):
    """Overrides ``get_dbs``: reads go to one host, writes to the other."""

    def get_dbs(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[int]:
        return [1] if attr == "set" else [0]


class ByTenant(BaseRouter):
    """Overrides ``_route``, and looks at more than the key."""

    @routing_params
    def _route(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[int]:
        return [kwargs.get("tenant", args[0] if args else 0)]


class Fixed(BaseRouter):
    """Answers what a test has put into ``answer``."""

    answer: Any = ()

    def get_dbs(self, **call: Any) -> Any:
        return self.answer


def routed(router: type[BaseRouter], count: int = 3) -> Any:
    """A cluster with a router of nydus 0.11."""
    return memory_cluster(router=router, hosts=[{}] * count)


def fixed(answer: Any) -> Any:
    return routed(type("Fixed", (Fixed,), {"answer": answer}))


def test_a_router_that_overrides_get_dbs_routes_by_the_name_of_the_call() -> None:
    cluster = routed(ByCall, 2)
    cluster.set("key", 1)
    cluster.get("key")
    assert [engine.connection.log for engine in cluster.hosts.values()] == [
        [("get", "key")],
        [("set", "key", 1)],
    ]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_router_that_overrides_route_sees_the_arguments(number: int) -> None:
    assert routed(ByTenant).who(number) == str(number)


def test_a_router_that_overrides_route_is_not_asked_about_calls_without_arguments() -> None:
    assert routed(ByTenant).ping() == ["pong from 0", "pong from 1", "pong from 2"]


def test_the_router_sees_the_call_as_it_was_made() -> None:
    seen = []

    class Seeing(BaseRouter):
        def get_dbs(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[int]:
            seen.append((attr, args, kwargs))
            return [0]

    cluster = routed(Seeing)
    cluster.set("key", 1, only_new=True)
    cluster.admin.size()
    with cluster.map() as conn:
        conn.get(key="other")
    assert seen == [
        ("set", ("key", 1), {"only_new": True}),
        ("admin.size", (), {}),
        ("get", (), {"key": "other"}),
    ]


def test_the_router_sees_the_call_also_where_a_surface_sends_another_command() -> None:
    def decr(key: str, amount: int = 1) -> Any:
        if amount < 0:
            raise ValueError
        return current_call()

    remembering = remember_call("decr", decr)
    assert remembering("key", amount=2) == ("decr", ("key",), {"amount": 2})
    with pytest.raises(ValueError):
        remembering("key", -1)
    assert current_call() is None
    assert remember_call("limit", 5) == 5


def test_a_router_knows_its_cluster() -> None:
    class Last(BaseRouter):
        def _route(self, **call: Any) -> list[Any]:  # type: ignore[override]
            assert self.cluster is not None
            return [list(self.cluster.hosts)[len(self.cluster.hosts) - 1]]

    assert routed(Last).who("key") == "2"


def test_a_router_without_rules_sends_every_call_to_all_hosts() -> None:
    assert routed(BaseRouter).who("key") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ([0], "0"),
        ([2, 0], ["2", "0"]),
        ((1,), "1"),
        ({1: "any mapping"}.keys(), "1"),
        (iter([0, 1]), ["0", "1"]),
        ("2", "2"),
        ([2, 0, 2, "0"], ["2", "0"]),
    ],
)
def test_one_host_answers_a_value_and_several_a_list_in_the_routers_order(answer: Any, value: Any) -> None:
    assert fixed(answer).who("key") == value


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "gave no host for who b'key'"),
        ([3], r"gave host 3 for who b'key'; the hosts are \[0, 1, 2\]"),
        ([0, 9], "gave host 9 for who b'key'"),
    ],
)
def test_a_router_that_gives_no_host_or_an_unknown_one_is_an_error_and_nothing_is_sent(
    answer: list[Any], message: str
) -> None:
    cluster = fixed(answer)
    with pytest.raises(RoutingError, match=message):
        cluster.who("key")
    with pytest.raises(RoutingError, match=message), cluster.map() as conn:
        conn.who("key")
    assert [engine.connection.log for engine in cluster.hosts.values()] == [[], [], []]


def test_what_a_routers_rule_raises_is_raised() -> None:
    class Failing(BaseRouter):
        def _route(self, **call: Any) -> list[int]:  # type: ignore[override]
            raise LookupError("no such tenant")

    with pytest.raises(LookupError, match="no such tenant"):
        routed(Failing).get("key")


def test_a_router_may_handle_what_its_rule_raises() -> None:
    class Handling(BaseRouter):
        def _route(self, **call: Any) -> list[int]:  # type: ignore[override]
            raise LookupError("no such tenant")

        def _handle_exception(self, e: Exception) -> None:
            assert str(e) == "no such tenant"

        def _post_routing(self, db_nums: list[int], **call: Any) -> list[int]:  # type: ignore[override]
            return db_nums or [1]

    assert routed(Handling).who("key") == "1"


def test_a_router_is_set_up_once_before_its_first_call() -> None:
    calls = []

    class Setting(BaseRouter):
        def _setup_router(self, args: Any, kwargs: Any, **fkwargs: Any) -> bool:
            calls.append(args)
            return True

    cluster = routed(Setting)
    assert calls == []
    cluster.get("one")
    cluster.get("two")
    assert calls == [("one",)]


def test_a_router_that_cannot_be_set_up_refuses_every_call() -> None:
    class Unready(BaseRouter):
        def _setup_router(self, args: Any, kwargs: Any, **fkwargs: Any) -> bool:
            return False

    with pytest.raises(BaseRouter.UnableToSetupRouter, match="Unready"):
        routed(Unready).get("key")


def test_a_router_may_route_by_other_arguments_than_those_of_the_call() -> None:
    class Lowering(ByTenant):
        def _pre_routing(self, args: Any, kwargs: Any, **call: Any) -> tuple[Any, Any]:  # type: ignore[override]
            return (args[0] % 3,), kwargs

    cluster = routed(Lowering)
    assert cluster.who(7) == "1"
    assert cluster[1].connection.log == [("who", 7)]


def test_a_router_may_be_asked_without_a_cluster_and_without_arguments() -> None:
    assert ByTenant().get_dbs("get", args=(5,)) == [5]
    assert ByTenant().get_dbs("get", kwargs={"tenant": 6}) == [6]
    assert ByTenant().get_dbs(attr="get") == []
    assert BaseRouter.get_db is BaseRouter.get_dbs


def test_routing_params_fills_in_what_is_missing_and_keeps_the_name() -> None:
    @routing_params
    def route(**params: Any) -> dict[str, Any]:
        """Say where."""
        return params

    assert route(attr="get") == {"attr": "get", "args": (), "kwargs": {}}
    assert route(args=None, kwargs=None) == {"args": (), "kwargs": {}}
    assert route(args=(1,), kwargs={"a": 1}) == {"args": (1,), "kwargs": {"a": 1}}
    assert (route.__name__, route.__doc__) == ("route", "Say where.")


# Pipelines --------------------------------------------------------------------------------------------------------


class Piped(BaseConnection):
    """A connection whose pipeline a test chooses."""

    supports_pipelines = True

    def __init__(self, num: Any, pipeline: type[BasePipeline]) -> None:
        super().__init__(num)
        self.pipeline = pipeline

    def connect(self) -> Store:
        return Store(str(self.num))

    def disconnect(self) -> None:
        pass

    def get_pipeline(self) -> BasePipeline:
        return self.pipeline(self)


class Listing(BasePipeline):
    """``execute()`` returns a list, in order."""

    def execute(self) -> Any:
        return list(self.answers())

    def answers(self) -> Iterator[Any]:
        for command in self.pending:
            name, args, kwargs = command.get_command()
            yield getattr(self.connection, name)(*args, **kwargs)


class Keyed(Listing):
    """``execute()`` returns a dict by command, as the pipelines of nydus 0.11 did."""

    def execute(self) -> Any:
        return dict(zip(self.pending, self.answers(), strict=True))


class Raising(Listing):
    def execute(self) -> Any:
        raise OSError("the pipe burst")


class Short(Listing):
    def execute(self) -> Any:
        return super().execute()[:-1]


class Forgetful(Keyed):
    def execute(self) -> Any:
        return dict(list(super().execute().items())[:-1])


class Unwilling(Listing):
    def add(self, command: Any) -> None:
        raise ValueError(f"what is {command.get_command()[0]}?")


class Partial(Listing):
    """Has an exception among its results."""

    def answers(self) -> Iterator[Any]:
        *first, _ = super().answers()
        yield from [*first, ValueError("not the last one")]


def piped(*pipelines: type[BasePipeline]) -> Any:
    class ByNumber(BaseRouter):
        def get_dbs(self, args: Any, **call: Any) -> list[int]:
            return [args[0] % len(pipelines)] if args else list(range(len(pipelines)))

    return create_cluster({"backend": Piped, "router": ByNumber, "hosts": [[each] for each in pipelines]})


@pytest.mark.parametrize("pipeline", [Listing, Keyed])
def test_a_pipeline_may_return_a_list_or_a_dict(pipeline: type[BasePipeline]) -> None:
    cluster = piped(pipeline, pipeline)
    with cluster.map() as conn:
        results = [conn.incr(number) for number in (1, 2, 1, 3)]
        everywhere = conn.ping()
    assert results == [1, 1, 2, 1]
    assert everywhere == ["pong from 0", "pong from 1"]
    assert cluster[1].connection.log == [("incr", 1), ("incr", 1), ("incr", 3), ("ping",)]


@pytest.mark.parametrize(
    ("broken", "kind", "outcome"),
    [
        (Raising, OSError, Outcome.MAYBE_APPLIED),
        (BasePipeline, NotImplementedError, Outcome.MAYBE_APPLIED),
        (Short, MaybeApplied, Outcome.MAYBE_APPLIED),
        (Forgetful, MaybeApplied, Outcome.MAYBE_APPLIED),
        (Unwilling, ValueError, Outcome.NOT_SENT),
    ],
)
def test_a_pipeline_that_fails_as_a_whole_fails_all_commands_of_its_host_and_no_other(
    broken: type[BasePipeline], kind: type[Exception], outcome: Outcome
) -> None:
    cluster = piped(Listing, broken)
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        results = [conn.who(number) for number in (0, 1, 2, 3)]
    assert [failure.position for failure in caught.value.errors] == [1, 3]
    assert all(isinstance(failure.error, kind) for failure in caught.value.errors)
    assert all(isinstance(failure.error.__cause__, Exception) for failure in caught.value.errors)
    assert [result.outcome for result in results] == [Outcome.VALUE, outcome, Outcome.VALUE, outcome]
    assert [results[0], results[2]] == ["0", "0"]


def test_an_exception_among_the_results_fails_its_own_command_only() -> None:
    with piped(Partial).map(fail_silently=True) as conn:
        results = [conn.who(0), conn.who(0), conn.who(0)]
    assert [result.outcome for result in results] == [Outcome.VALUE, Outcome.VALUE, Outcome.SERVER_ERROR]
    assert [(name, type(error)) for name, error in conn.get_errors()] == [("who", ValueError)]
