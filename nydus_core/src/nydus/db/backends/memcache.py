"""The memcache backend; it lives in the distribution nydus-memcache."""

try:
    from nydus_memcache import Memcache
except ModuleNotFoundError as error:
    if error.name != "nydus_memcache":  # it is there, and something that it needs is not
        raise
    raise ImportError(
        "the memcache backend is not installed: pip install nydus-memcache", name=error.name
    ) from None

__all__ = ["Memcache"]
