"""The asyncio side of the Redis engine, on ``redis.asyncio``."""
