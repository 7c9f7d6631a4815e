"""The asyncio side of the memcached engine, on connections of its own."""
