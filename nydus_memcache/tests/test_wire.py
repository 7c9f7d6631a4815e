"""From a call to bytes: what pymemcache would send, or an error and nothing sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheIllegalInputError
from pymemcache.serde import CompressedSerde, pickle_serde

from memcache_calls import CALLS, sent_by_pymemcache
from nydus_core import Command, ConfigError, NydusError, RoutingError
from nydus_core.command import Access, Scope
from nydus_memcache import IllegalArgument, IllegalKey, Memcache
from nydus_memcache.commands.command import MemcacheCommand
from nydus_memcache.surface.blocking import Surface
from odd import Index, Level, Word, lying

pytestmark = pytest.mark.slow_env  # nothing of this is pymemcache's


def surface(**options: Any) -> Any:
    """A surface whose calls return their commands."""
    return Memcache.surface([options])(lambda command: command)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", [{}, {"key_prefix": b"app:"}])
def test_a_host_receives_what_pymemcache_would_have_sent(
    call: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    command = call(surface(**options))
    assert command.request == sent_by_pymemcache(call, **options)


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ({"serde": pickle_serde}, "k", ["a list"]),
        ({"serde": CompressedSerde(min_compress_len=10)}, "k", "long" * 100),
        ({"serde": None, "serializer": lambda key, value: (repr(value), 99)}, "k", ["a list"]),
        ({"serde": None, "serializer": lambda key, value: ("grüße", 0), "encoding": "utf-8"}, "k", None),
        ({"allow_unicode_keys": True}, "grüße", "text"),
        ({"key_prefix": "text:"}, "k", "text"),
    ],
)
def test_options_for_keys_and_values_are_those_of_pymemcache(
    options: dict[str, Any], key: str, value: Any
) -> None:
    def call(client: Any) -> Any:
        return client.set(key, value)

    assert call(surface(**options)).request == sent_by_pymemcache(call, **options)


def test_text_of_a_serde_that_its_encoding_lacks_is_refused() -> None:
    with pytest.raises(IllegalArgument, match="is not ascii"):
        surface(serializer=lambda key, value: ("grüße", 0)).set("k", 1)


def test_pickle_is_pymemcaches_pickle_where_it_is_asked_for() -> None:
    def call(client: Any) -> Any:
        return client.set("k", {"a": (1, 2)})

    assert call(surface(pickle=True)).request == sent_by_pymemcache(call)


def test_every_command_of_pymemcache_is_there_with_its_arguments() -> None:
    not_commands = {"close", "disconnect_all", "check_key"}
    for name, theirs in inspect.getmembers(Client, inspect.isfunction):
        if name.startswith("_") or name in not_commands:
            continue
        ours = inspect.signature(getattr(Surface, name)).parameters
        assert list(ours)[: len(inspect.signature(theirs).parameters)] == list(
            inspect.signature(theirs).parameters
        )
        for parameter in inspect.signature(theirs).parameters.values():
            if name != "raw_command":  # there pymemcache takes text for b"\r\n"
                assert ours[parameter.name].default in (parameter.default, 1), (name, parameter.name)


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="no command 'get_may'; did you mean 'get_many'"):
        surface().get_may("k")
    with pytest.raises(AttributeError, match="no command 'hset'"):
        surface().hset("k")


# What a command is ---------------------------------------------------------------------------------------------


def test_text_and_bytes_are_one_key() -> None:
    assert surface().get("foo").keys == surface().get(b"foo").keys == (b"foo",)


def test_routers_do_not_see_the_prefix() -> None:
    command = surface(key_prefix=b"app:").get("foo")
    assert command.keys == (b"foo",)
    assert command.request == b"get app:foo\r\n"


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (lambda c: c.get(key="k"), [b"k"]),
        (lambda c: c.cas("k", 1, 2), [b"k"]),
        (lambda c: c.get_many(keys=["a", "b", "a"]), [b"a", b"b", b"a"]),
        (lambda c: c.set_many({"a": 1, "b": 2}), [b"a", b"b"]),
        (lambda c: c.delete_many(iter(["a", "b"])), [b"a", b"b"]),
        (lambda c: c.raw_command("mg k v", key="k"), [b"k"]),
        (lambda c: c.stats("items"), []),
    ],
)
def test_the_keys_of_a_command_are_known(call: Callable[[Any], Command], keys: list[bytes]) -> None:
    assert list(call(surface()).keys) == keys


def test_only_what_reads_may_be_repeated() -> None:
    c = surface()
    reads = [c.get("k"), c.gets("k"), c.get_many(["k"]), c.gets_many(["k"]), c.stats(), c.version()]
    assert {command.access for command in reads} == {Access.READ}
    writes = [c.set("k", 1), c.touch("k"), c.incr("k"), c.delete("k"), c.set_many({"k": 1}), c.flush_all()]
    assert {command.access for command in writes} == {Access.WRITE}


def test_a_raw_command_has_no_place_unless_its_key_is_stated() -> None:
    assert surface().raw_command("mg k v").scope is Scope.UNKNOWN


def test_a_command_shows_its_keys_and_no_values() -> None:
    assert repr(surface().set("k", "secret")) == "set b'k'"
    assert repr(surface().set_many({"a": "secret"})) == "set_many b'a'"


# What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("", "is empty"),
        ("a b", r"contains b' '"),
        ("a\n", r"contains b'\\n'"),
        (b"a\r\nword", r"contains b'\\r'"),
        ("a\0", r"contains b'\\x00'"),
        ("a\x7f", r"contains b'\\x7f'"),
        ("k" * 251, "has 251 bytes with the prefix; memcached takes at most 250"),
        ("grüße", "is not ascii: encode it, or set the option 'allow_unicode_keys'"),
        (1, "is of type int; expected str or bytes"),
        ("grüße".encode("utf-16"), "contains"),
        (None, "is of type NoneType"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda c, key: c.get(key),
        lambda c, key: c.get_many(["fine", key]),
        lambda c, key: c.set(key, b""),
        lambda c, key: c.set_many({"fine": b"", key: b""}),
        lambda c, key: c.delete(key),
        lambda c, key: c.delete_many(["fine", key]),
        lambda c, key: c.incr(key),
    ],
)
def test_a_key_that_memcached_would_not_take_is_refused(
    key: Any, why: str, call: Callable[[Any, Any], Any]
) -> None:
    with pytest.raises(IllegalKey, match=why) as caught:
        call(surface(), key)
    assert repr(key)[:70] in str(caught.value)
    assert isinstance(caught.value, RoutingError)
    assert isinstance(caught.value, MemcacheIllegalInputError)


def test_the_prefix_counts_for_the_length_of_a_key() -> None:
    assert surface(key_prefix="p" * 50).get("k" * 200).request.startswith(b"get pp")
    with pytest.raises(IllegalKey, match="251 bytes with the prefix"):
        surface(key_prefix="p" * 50).get("k" * 201)


def test_one_key_is_not_taken_for_a_list_of_keys() -> None:
    with pytest.raises(IllegalKey, match="get_many: found the str 'foo'; expected a list of keys"):
        surface().get_many("foo")
    with pytest.raises(IllegalKey, match="delete_many: found the bytes"):
        surface().delete_many(b"foo")
    with pytest.raises(IllegalArgument, match="set_many: found list; expected a dict"):
        surface().set_many(["foo"])


class Text(str):
    pass


@pytest.mark.parametrize("value", [None, 1.5, True, [1], {"a": 1}, Text("a"), bytearray(b"a")])
def test_a_value_of_another_type_is_refused_unless_a_serde_is_given(value: Any) -> None:
    with pytest.raises(
        IllegalArgument, match=rf"for the key b'k' is of type {type(value).__name__}; expected"
    ):
        surface().set("k", value)
    assert surface(pickle=True).set("k", value).request


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (
            lambda c: c.set("k", b"", expire=2**63),
            "expire is 9223372036854775808; expected an integer",
        ),
        (lambda c: c.set("k", b"", expire=1.5), "expire is 1.5"),
        (lambda c: c.set("k", b"", flags=2**32), "flags is 4294967296"),
        (lambda c: c.set("k", b"", flags=-1), "flags is -1"),
        (lambda c: c.cas("k", b"", "12x"), "cas is of type str; expected a token that gets"),
        (lambda c: c.cas("k", b"", None), "cas is of type NoneType"),
        (lambda c: c.cas("k", b"", -1), "cas is -1"),
        (lambda c: c.cas("k", b"", 1.5), "cas is 1.5"),
        (lambda c: c.incr("k", -1), "value is -1; expected an integer from 0"),
        (lambda c: c.decr("k", "1"), "value is of type str"),
        (lambda c: c.touch("k", "soon"), "expire is of type str"),
        (lambda c: c.flush_all(delay=-1), "delay is -1"),
        (lambda c: c.cache_memlimit("all"), "memlimit is of type str"),
    ],
)
def test_a_number_that_memcached_would_not_take_is_refused(call: Callable[[Any], Any], why: str) -> None:
    with pytest.raises(IllegalArgument, match=why) as caught:
        call(surface())
    assert isinstance(caught.value, NydusError)
    assert isinstance(caught.value, MemcacheIllegalInputError)


@pytest.mark.parametrize(
    ("call", "request_bytes"),
    [
        (lambda c: c.set("k", b"v", Level.MINUTE), b"set k 0 60 1\r\nv\r\n"),
        (lambda c: c.add("k", b"v", expire=lying(int)(5)), b"add k 0 5 1\r\nv\r\n"),
        (lambda c: c.set("k", b"v", flags=Level.LOW), b"set k 1 0 1\r\nv\r\n"),
        (lambda c: c.cas("k", b"v", Level.MINUTE), b"cas k 0 0 1 60\r\nv\r\n"),
        (lambda c: c.cas("k", b"v", lying(bytes)(b"12")), b"cas k 0 0 1 12\r\nv\r\n"),
        (lambda c: c.cas("k", b"v", lying(str)("12")), b"cas k 0 0 1 12\r\nv\r\n"),
        (lambda c: c.set_many({"k": b"v"}, Level.MINUTE), b"set k 0 60 1\r\nv\r\n"),
        (lambda c: c.incr("k", Level.MINUTE), b"incr k 60\r\n"),
        (lambda c: c.decr("k", lying(int)(2)), b"decr k 2\r\n"),
        (lambda c: c.incr("k", Index(2)), b"incr k 2\r\n"),
        (lambda c: c.touch("k", Level.MINUTE), b"touch k 60\r\n"),
        (lambda c: c.flush_all(Level.LOW), b"flush_all 1\r\n"),
        (lambda c: c.cache_memlimit(Level.MINUTE), b"cache_memlimit 60\r\n"),
        (lambda c: c.get(lying(str)("k")), b"get k\r\n"),
        (lambda c: c.get(lying(bytes)(b"k")), b"get k\r\n"),
        (lambda c: c.get_many([Word.RED]), b"get red\r\n"),
        (lambda c: c.delete(Word.RED), b"delete red\r\n"),
        (lambda c: c.stats(lying(str)("items")), b"stats items\r\n"),
        (lambda c: c.raw_command(lying(str)("mn"), lying(bytes)(b"\r\n"), key=lying(str)("k")), b"mn\r\n"),
    ],
)
@pytest.mark.timeout(20)  # a member of an IntEnum was looked for in a range by counting
def test_subclasses_are_sent_as_the_plain_value(call: Callable[[Any], Any], request_bytes: bytes) -> None:
    assert call(surface()).request == request_bytes


class _Serde:
    """A serde that returns values of subclasses."""

    def serialize(self, key: bytes, value: Any) -> tuple[Any, Any]:
        return value, Level.LOW

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        return value


@pytest.mark.parametrize("data", [lying(bytes)(b"data"), lying(str)("data")], ids=["bytes", "str"])
def test_the_size_of_a_value_is_counted_and_not_asked(data: Any) -> None:
    assert surface(serde=_Serde()).set("k", data).request == b"set k 1 0 4\r\ndata\r\n"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set("k", b"v", True),  # meant for noreply
        lambda c: c.set("k", b"v", lying(int)(2**63)),
        lambda c: c.set("k", b"v", 10**5000),
        lambda c: c.set("k", b"v", Index(10**5000)),
        lambda c: c.set("k", b"v", flags=lying(int)(-1)),
        lambda c: c.cas("k", b"v", lying(int)(-1)),
        lambda c: c.cas("k", b"v", 10**5000),
        lambda c: c.cas("k", b"v", lying(bytes)(b"1x")),
        lambda c: c.incr("k", True),
        lambda c: c.incr("k", lying(float)(1.0)),
        lambda c: c.touch("k", lying(object)()),
    ],
)
@pytest.mark.timeout(20)
def test_a_number_that_will_not_do_is_refused_whatever_its_class(call: Callable[[Any], Any]) -> None:
    with pytest.raises(IllegalArgument, match="Nothing was sent"):
        call(surface())


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set("k", 60, "hunter2"),
        lambda c: c.cas("k", b"12", "hunter2"),
        lambda c: c.cas("k", b"12", b"hunter2"),
        lambda c: c.incr("k", "hunter2"),
        lambda c: c.set("k", b"", flags="hunter2"),
        lambda c: c.raw_command("ms k 7 hunter2ü"),
        lambda c: c.raw_command(["hunter2"]),
        lambda c: c.set("k", ["hunter2"]),
    ],
)
def test_no_error_shows_a_value_not_even_in_the_wrong_place(call: Callable[[Any], Any]) -> None:
    with pytest.raises(NydusError) as caught:
        call(surface())
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in f"{error} {error!r} {error.__dict__}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def test_words_of_stats_are_checked_too() -> None:
    with pytest.raises(MemcacheIllegalInputError):
        surface().stats("items\r\nword")


def test_hosts_have_to_agree_on_how_keys_and_values_look() -> None:
    with pytest.raises(ConfigError, match="one key_prefix: set it in 'defaults'"):
        Memcache.surface([{"key_prefix": b"a"}, {}])
    assert isinstance(
        Memcache.surface([{"port": 1}, {"port": 2}])(lambda command: command).get("k"), MemcacheCommand
    )
