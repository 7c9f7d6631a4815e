"""The public names: the documented ones exist and are the canonical objects, and none comes or goes unnoticed."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import nydus_core
from nydus_core import errors

#: Documented name, and where the object lives.
NAMES = {
    "nydus.db.create_cluster": "nydus_core.create.create_cluster",
    "nydus.db.create_async_cluster": "nydus_core.create.create_async_cluster",
    "nydus.db.connections": "nydus_core.connections.connections",
    "nydus.db.Cluster": "nydus_core.cluster.blocking.Cluster",
    "nydus.db.AsyncCluster": "nydus_core.aio.cluster.AsyncCluster",
    "nydus.db.base.BaseCluster": "nydus_core.cluster.blocking.Cluster",
    "nydus.db.base.LazyConnectionHandler": "nydus_core.connections.LazyConnectionHandler",
    "nydus.db.backends.base.BaseConnection": "nydus_core.engines.starting.BaseEngine",
    "nydus.db.backends.base.BasePipeline": "nydus_core.engines.legacy.BasePipeline",
    "nydus.db.backends.BaseConnection": "nydus_core.engines.starting.BaseEngine",
    "nydus.db.backends.BasePipeline": "nydus_core.engines.legacy.BasePipeline",
    "nydus.db.routers.BaseRouter": "nydus_core.routers.legacy.BaseRouter",
    "nydus.db.routers.RoundRobinRouter": "nydus_core.routers.keyless.RoundRobinRouter",
    "nydus.db.routers.base.BaseRouter": "nydus_core.routers.legacy.BaseRouter",
    "nydus.db.routers.base.RoundRobinRouter": "nydus_core.routers.keyless.RoundRobinRouter",
    "nydus.db.routers.base.routing_params": "nydus_core.routers.legacy.routing_params",
    "nydus.db.routers.keyvalue.PartitionRouter": "nydus_core.routers.nydus_partition.PartitionRouter",
    "nydus.db.routers.keyvalue.ConsistentHashingRouter": "nydus_core.routers.nydus_consistent.ConsistentHashingRouter",
    "nydus.db.routers.redis.PartitionRouter": "nydus_core.routers.nydus_partition.PartitionRouter",
    "nydus.db.routers.redis.ConsistentHashingRouter": "nydus_core.routers.nydus_consistent.ConsistentHashingRouter",
    "nydus.db.routers.redis.RoundRobinRouter": "nydus_core.routers.keyless.RoundRobinRouter",
    "nydus.db.promise.EventualCommand": "nydus_core.cluster.promise.EventualCommand",
    "nydus.db.exceptions.CommandError": "nydus_core.errors.CommandError",
    "nydus.conf.configure": "nydus_core.connections.configure",
    "nydus.conf.CONNECTIONS": "nydus_core.connections.CONNECTIONS",
    "nydus.db.backends.redis.Redis": "nydus_redis.Redis",
    "nydus.db.backends.memcache.Memcache": "nydus_memcache.Memcache",
}


def find(dotted: str) -> object:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


@pytest.mark.parametrize("documented", NAMES)
def test_a_documented_name_is_the_very_object(documented: str) -> None:
    assert find(documented) is find(NAMES[documented])


@pytest.mark.parametrize("documented", NAMES)
def test_a_documented_name_is_public_in_its_module(documented: str) -> None:
    module, _, name = documented.rpartition(".")
    assert name in importlib.import_module(module).__all__


#: Module of the core that the documentation named before the rooms, and a name in it.
FORMER = {
    "base_engine": "EngineBase",
    "batches": "SerialBatch",
    "engine": "Batch",
    "explain": "Explanation",
    "hookspecs": "nydus_command_done",
    "mapping": "MapConnection",
    "retry": "Repeat",
}


@pytest.mark.parametrize("module", FORMER)
def test_a_former_module_can_be_imported_in_either_way(module: str) -> None:
    name = FORMER[module]
    assert hasattr(importlib.import_module(f"nydus_core.{module}"), name)
    assert hasattr(getattr(nydus_core, module), name)  # after ``import nydus_core.retry``


@pytest.mark.parametrize(("backend", "install"), [("redis", "nydus-redis"), ("memcache", "nydus-memcache")])
def test_a_backend_that_is_not_installed_says_what_to_install(backend: str, install: str) -> None:
    message = import_without(f"nydus_{backend}", f"nydus.db.backends.{backend}")
    assert message == f"ImportError: the {backend} backend is not installed: pip install {install}"


@pytest.mark.parametrize(("backend", "library"), [("redis", "redis"), ("memcache", "pymemcache")])
def test_a_backend_whose_library_is_missing_says_that_instead(backend: str, library: str) -> None:
    message = import_without(library, f"nydus.db.backends.{backend}")
    assert message == f"ModuleNotFoundError: No module named '{library}'"


def import_without(missing: str, module: str) -> str:
    """What importing a module raises in a process where another one cannot be found."""
    program = f"""if True:
        import importlib, sys

        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == {missing!r}:
                    raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

        sys.meta_path.insert(0, Missing())
        try:
            importlib.import_module({module!r})
        except ImportError as error:
            print(f"{{type(error).__name__}}: {{error}}")
    """
    return subprocess.check_output([sys.executable, "-c", program], text=True).strip()


def test_the_core_exports_these_names_and_no_others() -> None:
    assert nydus_core.__all__ == [
        "AsyncCluster",
        "AsyncEngine",
        "BaseAsyncEngine",
        "BaseEngine",
        "Cluster",
        "Command",
        "CommandError",
        "ConfigError",
        "CrossHostError",
        "DeadlineExceeded",
        "Engine",
        "EventualCommand",
        "ForeignWordError",
        "HostDown",
        "HostError",
        "HostHealth",
        "HostListExhausted",
        "MaybeApplied",
        "NoEventLoop",
        "NydusError",
        "Outcome",
        "PluginError",
        "ReentrantCall",
        "Retry",
        "RetryPolicy",
        "Router",
        "RoutingError",
        "SettingsWarning",
        "ThreadedEngine",
        "connections",
        "create_async_cluster",
        "create_cluster",
        "hookimpl",
    ]


@pytest.mark.parametrize("name", nydus_core.__all__)
def test_an_exported_name_exists_and_is_documented(name: str) -> None:
    exported = getattr(nydus_core, name)
    documented = exported if callable(exported) and hasattr(exported, "__name__") else type(exported)
    assert documented.__doc__
    assert len(documented.__doc__) > 20


#: Every error with its parents.
TREE = {
    "NydusError": (Exception,),
    "ConfigError": (errors.NydusError,),
    "PluginError": (errors.ConfigError,),
    "RoutingError": (errors.NydusError,),
    "CrossHostError": (errors.RoutingError,),
    "ForeignWordError": (errors.RoutingError,),
    "HostError": (errors.NydusError,),
    "HostDown": (errors.HostError,),
    "HostListExhausted": (errors.HostDown,),
    "MaybeApplied": (errors.HostError,),
    "DeadlineExceeded": (errors.NydusError,),
    "NotSentInTime": (errors.HostDown, errors.DeadlineExceeded),
    "NotAnsweredInTime": (errors.MaybeApplied, errors.DeadlineExceeded),
    "CommandError": (errors.NydusError,),
    "NotResolved": (errors.NydusError,),
    "NoEventLoop": (errors.NydusError, RuntimeError),
    "ReentrantCall": (errors.NydusError,),
}


def test_the_tree_of_errors_is_this_one() -> None:
    found = {
        name: kind.__bases__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert found == TREE


def test_the_tree_of_errors_is_drawn_in_the_documentation() -> None:
    drawn = [line.strip("│├└─ ").split()[0] for line in (errors.__doc__ or "").splitlines() if "──" in line]
    assert ["NydusError", *drawn] == list(TREE)
