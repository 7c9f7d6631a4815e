"""Make the files in tests/vectors that this repository can make: what implementations answer for some keys.

    python tools/placement_vectors.py slots                     our own rule, computed in a second way; takes a minute
    python tools/placement_vectors.py rendezvous                the same of rendezvous
    python tools/placement_vectors.py django-redis              from PyPI, in an environment of its own
    python tools/placement_vectors.py python-memcached          from PyPI, both ways that versions had
    python tools/placement_vectors.py redis-cli                 the plan of `redis-cli --cluster create`, from PATH
    python tools/placement_vectors.py mcrouter CHECKOUT         its mcrouter/lib/fbi/hash.c, compiled with cc
    python tools/placement_vectors.py phpredis PHP [ARGUMENT…]  a php with the extension redis, such as `php -n -d …`

The other files were given by implementations that are harder to come by; each says how. All have the same form: a
case a line; keys as `s:text`, `x:hex` or `i:number`.
"""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from hashlib import blake2b, sha256, shake_128
from math import ceil
from pathlib import Path
from typing import Any
from zlib import crc32

VECTORS = Path(__file__).resolve().parent.parent / "tests" / "vectors"
ENCODING = (
    "Each mapping key is a tagged string: 's:<text>' = text key, 'x:<hex>' = raw bytes, 'i:<decimal>' = integer. Values are "
    "the host chosen, or its position where options.values says so."
)
TAGS = [
    "{a}b",
    "{}{a}",
    "a{b}c{d}",
    "{a{b}}",
    "{\n}a",
    "a\n{b}",
    "}{",
    "{",
    "}",
    "/r/c/key",
    "/r/key",
    "/r/c/",
    "a|#|b",
    "/r/c/a|#|b",
]


def keys() -> dict[str, bytes]:
    """The keys of another file and some with tags: as they are written, and as bytes."""
    cases = json.loads((VECTORS / "redis_cluster_slots.json").read_text("utf-8"))["cases"]
    tagged = [*cases[0]["mapping"], *(f"s:{tag}" for tag in TAGS)]
    return {
        each: bytes.fromhex(each[2:]) if each[0] == "x" else each[2:].encode()
        for each in dict.fromkeys(tagged)
    }


def write(name: str, source: str, algorithm: str, how: str, cases: list[dict[str, Any]]) -> None:
    """Write a file, a case a line."""
    head = {"source": source, "algorithm": algorithm, "how": how, "split": "public", "key_encoding": ENCODING}
    lines = ",\n".join(json.dumps(case, sort_keys=True, ensure_ascii=False) for case in cases)
    text = json.dumps(head, ensure_ascii=False)[:-1] + f', "cases": [\n{lines}\n]}}\n'
    (VECTORS / f"{name}.json").write_text(text, "utf-8")
    print(f"{name}: {sum(len(case['mapping']) for case in cases)} mappings")


# Our own rules ----------------------------------------------------------------------------------------------------

EXACT, SHORTER = Context(prec=120), Context(prec=50)
LONG = (1 << 64) - 1


def rendezvous() -> None:
    """As docs/routers.md has the formula: host by host, and every logarithm with 120 digits."""
    names = [f"host-{number}" for number in range(100)]
    hosts: list[dict[str, Any]] = [
        {"a": 1},
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
        {"0": 1, "1": 1, "2": 1},
        {"10.0.0.1:6379": 3, "10.0.0.2:6379": 2, "10.0.0.3:6379": 1},
        {"north": 0.1, "south": 0.3, "östlich": 0.7, "西": 1.5},
        {"a": 1, "b": 0, "c": 1000, "d": 0.001},
        dict.fromkeys(names[:10], 1),
        {name: 1 + number % 3 for number, name in enumerate(names[:10])},
        {name: number + 0.5 for number, name in enumerate(names)},
    ]
    cases = [
        {
            "hosts": [{"name": name, "weight": weight} for name, weight in weights.items()],
            "options": {"hash_tags": tags},
            "mapping": {tagged: highest_rated(key, weights, tags=tags) for tagged, key in keys().items()},
        }
        for weights in hosts
        for tags in (True, False)
    ]
    algorithm = (
        "weighted rendezvous, -w / ln(u), over BLAKE2b and the finalizer of SplitMix64; see docs/routers.md"
    )
    write("rendezvous", "tools/placement_vectors.py", algorithm, "host by host, in decimal arithmetic", cases)


def highest_rated(key: bytes, weights: dict[str, float], *, tags: bool) -> str:
    """The host of a key."""
    if tags and (found := re.search(rb"^[^{]*\{([^}]+)\}", key)):
        key = found[1]
    rated = [(rating(key, name, weight), name) for name, weight in weights.items() if weight]
    best = max(each for each, _ in rated)
    return min(name for each, name in rated if each == best)


def rating(key: bytes, name: str, weight: float) -> Decimal:
    """-w / ln(u)."""
    x = hashed(key) ^ hashed(name.encode())
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & LONG
    x = (x ^ x >> 27) * 0x94D049BB133111EB & LONG
    x = x ^ x >> 31
    u = EXACT.divide(Decimal(2 * (x >> 12) + 1), Decimal(1 << 53))
    share = Fraction(str(weight))
    return EXACT.divide(-EXACT.divide(Decimal(share.numerator), Decimal(share.denominator)), EXACT.ln(u))


def hashed(data: bytes) -> int:
    """BLAKE2b of eight bytes."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")


SLOTS = 16384


def slots() -> None:
    """As docs/routers.md has the rule: all pairs of slot and host, from the highest rating to the lowest."""
    names = [f"host-{number}" for number in range(100)]
    fleets: list[tuple[dict[str, float], float]] = [
        ({"a": 1}, 1.05),
        ({"a": 1, "b": 1, "c": 1}, 1.05),
        ({"a": 1, "b": 1, "c": 1}, 1),
        ({"a": 1, "b": 2}, 1.05),
        ({"10.0.0.1:6379": 3, "10.0.0.2:6379": 2, "10.0.0.3:6379": 1}, 1.01),
        ({"north": 0.1, "south": 0.3, "östlich": 0.7, "西": 1.5}, 1.05),
        ({"a": 1, "b": 0, "c": 1000, "d": 0.001}, 1.05),
        (dict.fromkeys(names[:10], 1), 1.05),
        (dict.fromkeys(names[:10], 1), 16384),
        ({name: 1 + number % 3 for number, name in enumerate(names[:10])}, 1.1),
        (dict.fromkeys(names, 1), 1.05),
        ({name: number + 0.5 for number, name in enumerate(names)}, 1.05),
    ]
    cases: list[dict[str, Any]] = []
    for weights, bound in fleets:
        table = dealt(weights, bound)
        cases.append(
            {
                "hosts": [{"name": name, "weight": weight} for name, weight in weights.items()],
                "options": {"bound": bound},
                "table": sha256("\n".join(table).encode()).hexdigest(),
                "mapping": {tagged: table[slot(key)] for tagged, key in keys().items()},
            }
        )
    algorithm = "weighted rendezvous of slot and host over SHAKE128, with bounded loads; see docs/routers.md"
    how = "pair by pair, in decimal arithmetic; table is SHA-256 of the host of each slot, a name a line"
    write("slots", "tools/placement_vectors.py", algorithm, how, cases)


def dealt(weights: dict[str, float], bound: float) -> list[str]:
    """The host of each slot."""
    shares = {name: Fraction(str(weight)) for name, weight in weights.items() if weight}
    room = {
        name: ceil(Fraction(str(bound)) * SLOTS * share / sum(shares.values()))
        for name, share in shares.items()
    }
    pairs = []
    for name, share in shares.items():
        stream = shake_128(name.encode()).digest(4 * SLOTS)
        weight = SHORTER.divide(Decimal(share.numerator), Decimal(share.denominator))
        for each in range(SLOTS):
            x = int.from_bytes(stream[4 * each : 4 * each + 4], "little")
            u = SHORTER.divide(Decimal(2 * x + 1), Decimal(1 << 33))
            pairs.append((SHORTER.divide(SHORTER.ln(u).copy_negate(), weight), name, each))
    table = [""] * SLOTS
    for _, name, each in sorted(pairs):
        if not table[each] and room[name]:
            table[each] = name
            room[name] -= 1
    return table


def slot(key: bytes) -> int:
    """CRC-16 of the key or its hash tag, bit by bit."""
    found = re.search(rb"^[^{]*\{([^}]+)\}", key)
    crc = 0
    for byte in found[1] if found else key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc % SLOTS


# From PyPI --------------------------------------------------------------------------------------------------------

DJANGO_REDIS = """
import json, sys
import django.conf
django.conf.settings.configure()
from django_redis.client.sharded import ShardClient
from django_redis.hash_ring import HashRing

def answer(servers, keys):
    HashRing.nodes = []
    client = ShardClient.__new__(ShardClient)
    client._ring = HashRing(servers)
    return [client.get_server_name(key) for key in keys]

print(json.dumps([answer(*case) for case in json.load(sys.stdin)]))
"""

PYTHON_MEMCACHED = """
import json, sys
import memcache

memcache._Host.connect = lambda self: True  # nothing listens there

def answer(servers, keys):
    client = memcache.Client([tuple(server) for server in servers])
    return ["%s:%s" % client._get_server(bytes.fromhex(key))[0].address for key in keys]

print(json.dumps([answer(*case) for case in json.load(sys.stdin)]))
"""


def from_pypi(requirements: list[str], program: str, cases: list[Any]) -> list[list[Any]]:
    """What a program answers in an environment with these packages."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = f"{folder}/bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        done = subprocess.run(
            [python, "-c", program], input=json.dumps(cases), capture_output=True, text=True, check=True
        )
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def django_redis() -> None:
    """ShardClient's choice, without connections. Its keys are text."""
    text = {tagged: key.decode() for tagged, key in keys().items() if tagged[0] != "x"}
    servers = [[f"redis://127.0.0.1:{6379 + number}/1" for number in range(count)] for count in (1, 2, 3, 10)]
    servers.append(["redis://cache-a:6379/0", "redis://cache-b:6379/0", "redis://cache-c:6379/0"])
    answers = from_pypi(
        ["django-redis==7.0.0"], DJANGO_REDIS, [(each, list(text.values())) for each in servers]
    )
    cases = [
        {"hosts": each, "options": {}, "mapping": dict(zip(text, found, strict=True))}
        for each, found in zip(servers, answers, strict=True)
    ]
    algorithm = "ring of 128 sha256 points a node, predecessor; greedy tag"
    write("django_redis", "django-redis 7.0.0 (PyPI)", algorithm, "ShardClient.get_server_name(key)", cases)


def python_memcached() -> None:
    """Client's choice, by both hashes; weights too. Some keys are made for their hash: 0, which was 1 once."""
    found = {**keys(), **{f"s:zero:{key}": f"zero:{key}".encode() for key in (3529, 24431, 90934)}}
    servers = [
        [("127.0.0.1:11211", 1)],
        [("127.0.0.1:11211", 1), ("127.0.0.1:11212", 1), ("127.0.0.1:11213", 1)],
        [("10.0.0.1:11211", 1), ("10.0.0.2:11211", 2), ("10.0.0.3:11211", 3)],
        [(f"10.0.0.{number}:11211", 1) for number in range(7)],
    ]
    hexes = [key.hex() for key in found.values()]
    cases = []
    for version, hash_of_keys in (("1.62", "crc15"), ("1.59", "crc15_or_1")):
        requirements = [f"python-memcached=={version}"]
        answers = from_pypi(requirements, PYTHON_MEMCACHED, [(each, hexes) for each in servers])
        cases += [
            {
                "hosts": [{"name": name, "weight": weight} for name, weight in each],
                "options": {"version": version, "hash": hash_of_keys},
                "mapping": dict(zip(found, answer, strict=True)),
            }
            for each, answer in zip(servers, answers, strict=True)
        ]
    algorithm = (
        "(crc32(key) >> 16) & 0x7fff, until 1.59 `or 1`, modulo the servers, each as often as its weight says"
    )
    write(
        "python_memcached", "python-memcached 1.62, 1.59 (PyPI)", algorithm, "Client._get_server(key)", cases
    )


# Others -----------------------------------------------------------------------------------------------------------


def redis_cli() -> None:
    """The slots that redis-cli deals to masters; it asks before it does anything, and gets no yes."""
    cases = []
    for count in (3, 4, 5, 6, 7, 9, 11, 13, 17, 23):
        with tempfile.TemporaryDirectory() as folder:
            ports = free_ports(count)
            servers = [
                subprocess.Popen(
                    ["redis-server", "--port", str(port), "--cluster-enabled", "yes", "--save", "", "--bind", "127.0.0.1",
                     "--cluster-config-file", f"{port}.conf", "--dir", folder],
                    stdout=subprocess.DEVNULL,
                )
                for port in ports
            ]  # fmt: skip
            try:
                plan = planned([f"127.0.0.1:{port}" for port in ports])
            finally:
                for server in servers:
                    server.terminate()
                    server.wait()
        cases.append({"hosts": count, "options": {"values": "first and last slot"}, "mapping": plan})
    version = subprocess.run(
        ["redis-cli", "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    write("redis_cli_slots", version, "even ranges, in 32-bit floats", "redis-cli --cluster create", cases)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and so is each 10000 further, which a cluster's bus takes."""
    found: list[int] = []
    for port in range(21000, 30000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found


def planned(addresses: list[str]) -> dict[str, list[int]]:
    """What `redis-cli --cluster create` would do."""
    command = ["redis-cli", "--cluster", "create", *addresses]
    for _ in range(50):
        done = subprocess.run(command, input="no\n", capture_output=True, text=True, check=False)
        found = re.findall(r"Master\[(\d+)\] -> Slots (\d+) - (\d+)", done.stdout)
        if found:
            return {f"i:{number}": [int(first), int(last)] for number, first, last in found}
    sys.exit(done.stdout + done.stderr)


C_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "hash.h"

int main(void) {
    char line[4096]; unsigned m;
    while (scanf("%u %4095s", &m, line) == 2) {
        char key[2048]; size_t length = 0; unsigned byte;
        for (char *at = line + 1; sscanf(at, "%2x", &byte) == 1; at += 2) key[length++] = byte;
        printf("%u %u\\n", furc_hash(key, length, m), (crc32_hash(key, length) & 0x7fffffff) % m);
    }
    return 0;
}
"""


def mcrouter(checkout: str) -> None:
    """Ch3 and Crc32 of routing keys: of keys that have neither a prefix nor `|#|`."""
    plain = {tagged: key for tagged, key in keys().items() if key[:1] != b"/" and b"|#|" not in key}
    folder = Path(checkout) / "mcrouter" / "lib" / "fbi"
    with tempfile.TemporaryDirectory() as made:
        (Path(made) / "main.c").write_text(C_MAIN)
        command = [
            "cc",
            "-O1",
            "-w",
            f"-I{folder}",
            f"-I{checkout}",
            f"{made}/main.c",
            f"{folder}/hash.c",
            "-o",
            f"{made}/main",
        ]
        subprocess.run(command, check=True)
        cases = []
        for count in (1, 2, 3, 5, 8, 20, 100, 1000):
            lines = "".join(f"{count} x{key.hex()}\n" for key in plain.values())
            done = subprocess.run([f"{made}/main"], input=lines, capture_output=True, text=True, check=True)
            pairs = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
            for position, function in enumerate(("ch3", "crc32")):
                mapping = {tagged: pair[position] for tagged, pair in zip(plain, pairs, strict=True)}
                cases.append(
                    {"hosts": count, "options": {"hash": function, "values": "position"}, "mapping": mapping}
                )
    source = "facebook/mcrouter, mcrouter/lib/fbi/hash.c at 0f8cf0e0"
    write("mcrouter", source, "furc_hash; (crc32 & 0x7fffffff) % n", "that file, compiled by cc", cases)


PHP = """<?php
while (($line = fgets(STDIN)) !== false) {
    [$count, $key] = explode(' ', rtrim($line, "\\n"));
    $hosts = array_map(fn($i) => "127.0.0.1:" . (7000 + $i), range(0, $count - 1));
    $ra = $made[$count] ??= new RedisArray($hosts, ["lazy_connect" => true]);
    echo array_search($ra->_target(hex2bin(substr($key, 1))), $hosts), "\\n";
}
fwrite(STDERR, phpversion("redis"));
"""


def phpredis(*php: str) -> None:
    """RedisArray's own answer, also at the bounds of its ranges."""
    found = keys() | {f"x:{key.hex()}": key for key in (b"\0{a}", b"{a\0}", b"{a}\0{b}", b"{\0")}
    bounds = [
        0xFFFFFFFF // count * part + near
        for count in (3, 5)
        for part in range(1, count)
        for near in (-1, 0, 1)
    ]
    found |= {f"x:{key.hex()}": key for key in map(with_crc32, bounds)}
    counts = (1, 2, 3, 5, 7, 20)
    lines = "".join(f"{count} x{key.hex()}\n" for count in counts for key in found.values())
    with tempfile.NamedTemporaryFile("w", suffix=".php") as file:
        file.write(PHP)
        file.flush()
        done = subprocess.run([*php, file.name], input=lines, capture_output=True, text=True, check=True)
    answers = iter(done.stdout.split())
    cases = [
        {
            "hosts": count,
            "options": {"values": "position"},
            "mapping": {tagged: int(next(answers)) for tagged in found},
        }
        for count in counts
    ]
    algorithm = "crc32(tag or key) * n / 0xffffffff"
    write(
        "phpredis", f"phpredis {done.stderr.strip()} (Debian)", algorithm, "RedisArray::_target(key)", cases
    )


def with_crc32(wanted: int) -> bytes:
    """A key that has this CRC-32: a text, and four bytes that make it so."""
    for number in range(1000):
        start = b"bound:%d:" % number
        register = wanted ^ 0xFFFFFFFF
        for byte in bytes(4):
            top = next(each for each in range(256) if CRC_TABLE[each] >> 24 == register >> 24)
            register = (register ^ CRC_TABLE[top]) << 8 & 0xFFFFFFFF | top ^ byte
        key = start + ((crc32(start) ^ 0xFFFFFFFF) ^ register).to_bytes(4, "little")
        if crc32(key) == wanted and not set(key) & set(b"\0{}"):
            return key
    raise ValueError(wanted)


CRC_TABLE = [crc32(bytes([each ^ 0xFF]), 0) ^ 0xFFFFFFFF ^ 0x00FFFFFF for each in range(256)]


def main() -> None:
    """Make one file."""
    makers: dict[str, Callable[..., None]] = {
        "slots": slots,
        "rendezvous": rendezvous,
        "django-redis": django_redis,
        "python-memcached": python_memcached,
        "redis-cli": redis_cli,
        "mcrouter": mcrouter,
        "phpredis": phpredis,
    }
    name, *arguments = sys.argv[1:] or [""]
    if name not in makers:
        sys.exit(f"{__doc__}\nfound {shlex.join(sys.argv[1:])!r}; expected one of {', '.join(makers)}")
    makers[name](*arguments)


if __name__ == "__main__":
    main()
