"""The memcache backend, from the distribution nydus-memcache."""

try:
    from nydus_memcache import Memcache
except ModuleNotFoundError as error:
    if error.name != "nydus_memcache":  # the backend is there, and a module that it needs is not
        raise
    raise ImportError(
        "the memcache backend is not installed: pip install nydus-memcache", name=error.name
    ) from None

__all__ = ["Memcache"]
