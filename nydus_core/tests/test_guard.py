"""Fingerprints of clusters, and the refusal of a placement that is not the expected one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from clusters import memory_cluster
from nydus_core import ConfigError
from nydus_core.routers.legacy import BaseRouter

cluster_of = partial(memory_cluster, router="rendezvous")


def test_clusters_that_place_keys_alike_have_one_fingerprint() -> None:
    assert cluster_of().fingerprint == cluster_of().fingerprint == cluster_of("b", "a").fingerprint
    assert cluster_of(router=None).fingerprint == cluster_of(router=None).fingerprint


def test_others_have_others() -> None:
    clusters = [
        cluster_of(),
        cluster_of("a", "c"),
        cluster_of(hosts={"a": {"weight": 2}, "b": {}}),
        cluster_of(router="partition"),
        cluster_of("b", "a", router="partition"),
        cluster_of(router=None),
        cluster_of("a", "b", "c", router=None),
    ]
    assert len({cluster.fingerprint for cluster in clusters}) == len(clusters)


def test_it_is_that_of_the_hosts_that_there_are() -> None:
    cluster = cluster_of()
    cluster.add_host("c", {})
    assert cluster.fingerprint == cluster_of("a", "b", "c").fingerprint


def test_it_is_in_the_repr() -> None:
    assert f"placement {cluster_of().fingerprint}>" in repr(cluster_of())
    assert "placement" not in repr(cluster_of(router=BaseRouter))


def test_the_expected_placement_passes() -> None:
    cluster = cluster_of()
    cluster.guard(cluster.fingerprint)
    cluster.guard(cluster.router.rule())
    cluster_of(fingerprint=cluster.fingerprint)
    cluster_of(fingerprint=cluster.router.rule())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: cluster_of("a", "c"), "host 'c': gone; host 'b': new"),
        (lambda: cluster_of(hosts={"a": {"weight": 2}, "b": {}}), "host 'a': weight 2, now 1"),
        (
            lambda: cluster_of(router={"name": "rendezvous", "hash_tags": False}),
            "hash_tags False, now True",
        ),
        (lambda: cluster_of(router="partition"), "family: 'modulo', now 'rendezvous'"),
    ],
)
def test_another_one_is_refused_with_what_differs(other: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        cluster_of(fingerprint=other().router.rule())
    assert refused.value.path == "fingerprint"
    with pytest.raises(ConfigError, match="keys do not live where they are expected to"):
        cluster_of(fingerprint=other().fingerprint)


def test_a_fingerprint_of_another_rule_names_both() -> None:
    expected = cluster_of(router="partition").fingerprint
    with pytest.raises(ConfigError, match="the rule is 'rendezvous', expected 'modulo'"):
        cluster_of().guard(expected)


def test_a_router_without_a_fingerprint_cannot_be_guarded() -> None:
    cluster = cluster_of(router=BaseRouter)
    expected: Any
    for expected in ("x:1", {}):
        with pytest.raises(ConfigError, match="BaseRouter has no"):
            cluster.guard(expected)
    with pytest.raises(ConfigError, match="no fingerprint"):
        _ = cluster.fingerprint


@pytest.mark.parametrize("wrong", [5, {"family": "x"}, {"name": "rendezvous"}])
def test_what_is_no_fingerprint_is_a_mistake(wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"router\.rule\(\)") as mistake:
        cluster_of(fingerprint=wrong)
    assert mistake.value.path == "fingerprint"
