"""Samples of redis-py's methods for modules: JSON, time series, sketches, vector sets, search.

No server of ours has these. So what is compared is what is sent, and that the server's own error comes through.
"""

from __future__ import annotations

from pathlib import Path

from redis.commands.search.aggregation import AggregateRequest
from redis.commands.search.query import Query

from sample_calls import Call, call

__all__ = ["MODULES", "MODULES_EVERYWHERE", "MODULES_ON_ONE_HOST"]

#: A file that holds JSON.
FILE = Path(__file__).with_name("sample.json")

BF, CF, CMS, TD, TOP = call.bf(), call.cf(), call.cms(), call.tdigest(), call.topk()
JSON, TS, V, FT = call.json(), call.ts(), call.vset(), call.ft("index")

SKETCHES: list[Call] = [
    *(BF.add("{k}", "x"), BF.card("{k}"), BF.create("{k}", 0.1, 5, expansion=2), BF.exists("{k}", "x")),
    *(BF.info("{k}"), BF.insert("{k}", ["a", "b"], capacity=5, noCreate=True), BF.madd("{k}", "a", "b")),
    *(BF.loadchunk("{k}", 1, b"\xff"), BF.mexists("{k}", "a", "b"), BF.reserve("{k}", 0.1, 5)),
    *(BF.scandump("{k}", 0), CF.add("{k}", "x"), CF.addnx("{k}", "x"), CF.count("{k}", "x")),
    *(CF.create("{k}", 5, bucket_size=2), CF.delete("{k}", "x"), CF.exists("{k}", "x"), CF.info("{k}")),
    *(CF.insert("{k}", ["a"], capacity=5), CF.insertnx("{k}", ["a"], nocreate=True)),
    *(CF.loadchunk("{k}", 1, b"\xff"), CF.mexists("{k}", "a"), CF.reserve("{k}", 5), CF.scandump("{k}", 0)),
    *(CMS.incrby("{k}", ["a", "b"], [1, 2]), CMS.info("{k}"), CMS.initbydim("{k}", 5, 5)),
    *(CMS.initbyprob("{k}", 0.1, 0.1), CMS.merge("{k}to", 2, ["{k}a", "{k}b"], [1, 2])),
    *(CMS.query("{k}", "a", "b"), TD.add("{k}", [1, 2]), TD.byrank("{k}", 1, 2), TD.byrevrank("{k}", 1)),
    *(TD.cdf("{k}", 1, 2), TD.create("{k}", 200), TD.info("{k}"), TD.max("{k}"), TD.min("{k}")),
    TD.merge("{k}to", 2, "{k}a", "{k}b", compression=10, override=True),
    *(TD.quantile("{k}", 0.1, 0.5), TD.rank("{k}", 1), TD.reset("{k}"), TD.revrank("{k}", 1)),
    *(TD.trimmed_mean("{k}", 0.1, 0.9), TOP.add("{k}", "a", "b"), TOP.count("{k}", "a")),
    *(TOP.incrby("{k}", ["a"], [1]), TOP.info("{k}"), TOP.list("{k}", withcount=True)),
    *(TOP.query("{k}", "a"), TOP.reserve("{k}", 5, 5, 5, 0.5)),
]

DOCUMENTS: list[Call] = [
    *(JSON.arrappend("{k}", "$", 1, "x"), JSON.arrindex("{k}", "$", 1, 0, 5)),
    *(
        JSON.arrinsert("{k}", "$", 0, 1),
        JSON.arrlen("{k}"),
        JSON.arrpop("{k}"),
        JSON.arrtrim("{k}", "$", 0, 1),
    ),
    *(JSON.clear("{k}"), JSON.debug("MEMORY", "{k}"), JSON.delete("{k}"), JSON.forget("{k}", "$.a")),
    *(JSON.get("{k}", "$.a", "$.b"), JSON.jsonget("{k}"), JSON.jsonmget(["{k}a"], "$")),
    *(JSON.jsonset("{k}", "$", 1), JSON.merge("{k}", "$", {"a": 1}), JSON.mget(["{k}a", "{k}b"], "$.a")),
    JSON.mset([("{k}a", "$", {"x": 1}), ("{k}b", "$", [1])]),
    *(JSON.numincrby("{k}", "$", 1), JSON.nummultby("{k}", "$", 2), JSON.objkeys("{k}"), JSON.objlen("{k}")),
    *(JSON.resp("{k}"), JSON.set("{k}", "$", {"a": "é"}, nx=True), JSON.set_file("{k}", "$", str(FILE))),
    *(JSON.strappend("{k}", "x"), JSON.strlen("{k}"), JSON.toggle("{k}"), JSON.type("{k}")),
    *(V.vadd("{k}", [0.1, 0.2], "e", cas=True), V.vcard("{k}"), V.vdim("{k}"), V.vemb("{k}", "e", raw=True)),
    *(V.vgetattr("{k}", "e"), V.vinfo("{k}"), V.vlinks("{k}", "e", with_scores=True)),
    *(
        V.vrandmember("{k}", 2),
        V.vrange("{k}", "-", "+"),
        V.vrem("{k}", "e"),
        V.vsetattr("{k}", "e", {"a": 1}),
    ),
    V.vsim("{k}", "e", with_scores=True, count=2, filter=".a > 1"),
]

SERIES: list[Call] = [
    TS.add("{k}", "*", 1.5, labels={"a": "b"}, duplicate_policy="last"),
    *(TS.alter("{k}", retention_msecs=5), TS.create("{k}", labels={"FILTER": "x"})),
    *(TS.createrule("{k}a", "{k}b", "avg", 5), TS.decrby("{k}", 1), TS.delete("{k}", 0, 5)),
    *(TS.deleterule("{k}a", "{k}b"), TS.get("{k}", latest=True), TS.incrby("{k}", 1), TS.info("{k}")),
    TS.madd([("{k}a", 1, 2.5), ("{k}b", "*", 3)]),
    *(TS.range("{k}", "-", "+", count=1, aggregation_type="avg", bucket_size_msec=5), TS.read("{k}", 0)),
    *(TS.nrange(["{k}a", "{k}b"], 0, 5), TS.nrevrange(["{k}a", "{k}b"], 0, 5), TS.revrange("{k}", 0, 5)),
]

SEARCH: list[Call] = [
    FT.add_document("{k}doc", title="x", replace=True),
    FT.add_document_hash("{k}doc"),
    FT.delete_document("{k}doc"),
    FT.get("{k}doc", "{k}doc2"),
    FT.load_document("{k}doc"),
    *(FT.sugdel("{k}", "x"), FT.sugget("{k}", "x", fuzzy=True, with_scores=True), FT.suglen("{k}")),
]

MODULES = [*SKETCHES, *DOCUMENTS, *SERIES, *SEARCH]

#: A query goes to all hosts, for each has the index of its own documents.
MODULES_EVERYWHERE: list[Call] = [
    *(TS.mget(["a=b"]), TS.mrange(0, 5, ["a=b"]), TS.mrevrange(0, 5, ["a=b"]), TS.queryindex(["a=b"])),
    TS.querylabels("a", ["a=b"]),
    *(
        FT.aliasadd("a"),
        FT.aliasdel("a"),
        FT.aliaslist(),
        FT.aliasupdate("a"),
    ),
    *(FT.create_index([]), FT.alter_schema_add([])),
    *(FT.dict_add("d", "a"), FT.dict_del("d", "a"), FT.dict_dump("d"), FT.dropindex(True)),
    *(FT.explain("*"), FT.synupdate("g", False, "a"), FT.tagvals("t")),
]

#: Their answers are made one value of, so they are asked of one host.
MODULES_ON_ONE_HOST: list[Call] = [
    *(
        FT.aggregate(AggregateRequest("*")),
        FT.config_get("a"),
        FT.config_set("a", 1),
        FT.info(),
        FT.profile(Query("*")),
    ),
    *(FT.search("*"), FT.spellcheck("x"), FT.syndump()),
]
