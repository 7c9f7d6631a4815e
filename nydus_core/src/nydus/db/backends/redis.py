"""The redis backend, from the distribution nydus-redis."""

try:
    from nydus_redis import Redis
except ModuleNotFoundError as error:
    if error.name != "nydus_redis":  # the backend is there, and a module that it needs is not
        raise
    raise ImportError(
        "the redis backend is not installed: pip install nydus-redis", name=error.name
    ) from None

__all__ = ["Redis"]
