#!/bin/sh
# pylibmc 1.6.3 (with the libmemcached in its wheel): behaviors={"ketama_weighted": False}
#
# To say that the weighted ring is off turns the ring without weights on: the keys are no longer placed by
# modulo, as they are when nothing is said, and most move. So it is in a settings file that spells all
# defaults out. "ketama": False changes nothing, as expected.
#
# Seen:
#> nothing said: modula, ketama 0; the same servers for all keys
#> ketama False: modula, ketama 0; the same servers for all keys
#> ketama_weighted False: consistent ketama, ketama 1; other servers for most keys
#
# Nydus has a profile for each: libmemcached-modula, libmemcached-ketama and libmemcached-ketama-weighted.

. "$(dirname "$0")/lib.sh"
python_with pylibmc==1.6.3
for server in one two three; do
    start_memcached $server
done

python - "$tmp" >"$tmp/seen" <<'END'
import sys

import pylibmc

PATHS = [f"{sys.argv[1]}/{name}" for name in ("one", "two", "three")]
KEYS = [f"user:{i}" for i in range(1000)]

usual = pylibmc.Client(PATHS)
for key in KEYS:
    usual.set(key, "x")
for name, behaviors in (
    ("nothing said", {}),
    ("ketama False", {"ketama": False}),
    ("ketama_weighted False", {"ketama_weighted": False}),
):
    client = pylibmc.Client(PATHS, behaviors=behaviors)
    found = len(client.get_multi(KEYS))
    same = "the same servers for all" if found == 1000 else f"the same servers for {found}"
    where = "other servers for most" if found < 500 else same
    print(f"{name}: {client.behaviors['distribution']}, ketama {client.behaviors['ketama']}; {where} keys")
END
check
