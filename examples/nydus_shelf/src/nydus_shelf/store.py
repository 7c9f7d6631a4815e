"""A store of keys and values in one SQLite file. It stands for a client library: it knows nothing of Nydus."""

from __future__ import annotations

import sqlite3
import threading

__all__ = ["Store", "Value"]

Value = str | bytes | int | float


class Store:
    """Keys and values in a file, which is made if there is none. Threads and processes may share it.

    Parameters:
        path: The file.
        timeout: How long to wait while another process writes, in seconds.
    """

    def __init__(self, path: str, timeout: float = 5.0) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            path, timeout=timeout, isolation_level="IMMEDIATE", check_same_thread=False
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS shelf (key TEXT PRIMARY KEY, value)")

    def get(self, key: str) -> Value | None:
        """Return the value of a key; None if there is none."""
        with self._lock:
            found = self._db.execute("SELECT value FROM shelf WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def set(self, key: str, value: Value) -> None:
        """Set the value of a key."""
        with self._lock, self._db:
            self._db.execute("REPLACE INTO shelf VALUES (?, ?)", (key, value))

    def incr(self, key: str, by: int = 1) -> int:
        """Add to the value of a key, 0 if there is none, and return the sum."""
        with self._lock, self._db:
            add = "INSERT INTO shelf VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = value + excluded.value"
            self._db.execute(add, (key, by))
            total: int = self._db.execute("SELECT value FROM shelf WHERE key = ?", (key,)).fetchone()[0]
        return total

    def delete(self, key: str) -> bool:
        """Delete a key; return whether there was one."""
        with self._lock, self._db:
            return self._db.execute("DELETE FROM shelf WHERE key = ?", (key,)).rowcount > 0

    def count(self) -> int:
        """Return the number of keys."""
        with self._lock:
            total: int = self._db.execute("SELECT count(*) FROM shelf").fetchone()[0]
        return total

    def close(self) -> None:
        """Close the file."""
        self._db.close()
