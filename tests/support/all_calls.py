"""All samples of redis-py's methods, and which methods have none."""

from __future__ import annotations

from keyed_calls import HASHES, LISTS, PLACES, SETS, SORTED_SETS, STRINGS
from module_calls import MODULES, MODULES_EVERYWHERE, MODULES_ON_ONE_HOST
from other_calls import (
    ABOUT_A_CONNECTION,
    ARRAYS,
    EVERYWHERE,
    NOT_IMPLEMENTED,
    ON_A_CONNECTION,
    ON_ONE_HOST,
    SCRIPTS,
    STREAMS,
    UNSENT,
)

__all__ = ["KEYED", "LEFT_OUT", "SAMPLES"]

#: Those with keys, all on the host of ``{k}``.
KEYED = [*STRINGS, *LISTS, *HASHES, *SETS, *SORTED_SETS, *PLACES, *STREAMS, *ARRAYS, *SCRIPTS, *MODULES]
#: All of them.
SAMPLES = [
    *KEYED,
    *EVERYWHERE,
    *MODULES_EVERYWHERE,
    *MODULES_ON_ONE_HOST,
    *ON_ONE_HOST,
    *ABOUT_A_CONNECTION,
    *ON_A_CONNECTION,
    *UNSENT,
    *NOT_IMPLEMENTED,
]

#: Methods without a sample, and why.
LEFT_OUT = {
    **dict.fromkeys(("pipeline", "transaction", "pubsub", "keyspace_notifications", "monitor"), "no command"),
    **dict.fromkeys(("client", "close", "lock", "register_script", "from_pool", "from_url"), "no command"),
    **dict.fromkeys(("scan_iter", "hscan_iter", "sscan_iter", "zscan_iter"), "they loop over a command"),
    **dict.fromkeys(("get_cache", "get_connection_kwargs", "get_encoder", "get_retry"), "ask the client"),
    **dict.fromkeys(("set_retry", "set_response_callback", "load_external_module"), "change the client"),
    **dict.fromkeys(
        ("himport_discard", "himport_discard_all", "himport_prepare"), "note something, send nothing"
    ),
    **dict.fromkeys(("watch", "unwatch", "sentinel", "script_debug"), "of a plain client they only warn"),
    **dict.fromkeys(("digest_local", "parse_response"), "send nothing"),
    "script_load": "answers with one name, although it goes to all hosts: see test_engine.py",
    # of modules
    **dict.fromkeys(("json.pipeline", "ts.pipeline", "ft.pipeline", "ft.batch_indexer"), "no command"),
    **dict.fromkeys((f"{m}.execute_command" for m in ("bf", "cf", "cms", "ft", "json")), "the client's own"),
    **dict.fromkeys((f"{m}.execute_command" for m in ("tdigest", "topk", "ts", "vset")), "the client's own"),
    "ft.get_params_args": "sends nothing",
    "ft.hybrid_search": "needs objects that redis-py 6 lacks; FT.HYBRID goes as FT.SEARCH does",
    "shutdown": "wants the connection to break: see test_shutdown_ends_the_host_that_was_named",
    "ft.explain_cli": "redis-py raises NotImplementedError",
    "json.set_path": "loops over set_file",
    "ft.sugadd": "a pipeline, which belongs to one host",
}
