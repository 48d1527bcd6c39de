"""Keep trials in a database: SQLite by default, any URL that SQLAlchemy knows."""

from __future__ import annotations

from selftaught.store.sql import Store, open_store

__all__ = ["open_store", "Store"]
