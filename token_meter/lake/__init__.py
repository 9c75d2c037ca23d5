"""Ledgers of months through DuckDB: the same figures as the plain reader's, in a fraction of the time.

Needs `duckdb` (the extra `lake`).
"""

from __future__ import annotations

from token_meter.lake._duck import NotEqualError, is_installed
from token_meter.lake._export import export_parquet
from token_meter.lake._focus import export_focus
from token_meter.lake._query import query
from token_meter.lake._rows import EngineReader

__all__ = ["EngineReader", "NotEqualError", "export_focus", "export_parquet", "is_installed", "query"]
