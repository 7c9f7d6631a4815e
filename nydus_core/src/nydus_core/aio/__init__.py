"""The asyncio side: a driver and thin classes. What is decided, is decided in the modules of the blocking side."""
