#!/bin/sh
# python-binary-memcached 0.33.0 beside pymemcache 4.0.0 (pickle_serde), pylibmc 1.6.3 and python-memcached 1.62
#
# All four keep str and bytes apart, with the flags 0 and 16, and whole numbers and pickles pass between them.
# But for python-binary-memcached 0 is text and 16 is bytes, for the others 0 is bytes and 16 is text. So what
# one writes as text the other reads as bytes, both ways round, and no error is raised.
#
# Seen:
#> pymemcache wrote 'text': python-binary-memcached reads b'text'
#> pymemcache wrote b'bytes': python-binary-memcached reads 'bytes'
#> pylibmc wrote 'text': python-binary-memcached reads b'text'
#> pylibmc wrote b'bytes': python-binary-memcached reads 'bytes'
#> python-memcached wrote 'text': python-binary-memcached reads b'text'
#> python-memcached wrote b'bytes': python-binary-memcached reads 'bytes'
#> python-binary-memcached wrote 'text': pymemcache reads b'text'
#> python-binary-memcached wrote b'bytes': pymemcache reads 'bytes'
#
# Nydus's flags are pymemcache's. To share a host with python-binary-memcached, give the option serde.

. "$(dirname "$0")/lib.sh"
python_with pymemcache==4.0.0 pylibmc==1.6.3 python-memcached==1.62 python-binary-memcached==0.33.0
start_memcached server

python - "$tmp/server" >"$tmp/seen" <<'END'
import sys

import bmemcached
import memcache
import pylibmc
from pymemcache import Client, serde

path = sys.argv[1]
pym = ("pymemcache", Client(path, serde=serde.pickle_serde, timeout=5, default_noreply=False))
bmem = ("python-binary-memcached", bmemcached.Client([path]))
others = [("pylibmc", pylibmc.Client([path])), ("python-memcached", memcache.Client([f"unix:{path}"]))]

for (writer, source), (reader, target) in [(pym, bmem), *((other, bmem) for other in others), (bmem, pym)]:
    for value in ("text", b"bytes"):
        source.set("key", value)
        print(f"{writer} wrote {value!r}: {reader} reads {target.get('key')!r}")
END
check
