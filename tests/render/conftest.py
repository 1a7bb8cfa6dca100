"""Results as the command line gets them, and what the modes make of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from vercel_sql.render import Options, render_mode


@pytest.fixture
def query() -> Callable[[str], pa.Table]:
    """Runs SQL in UTC, and gives its result exactly."""

    def run(sql: str) -> pa.Table:
        with duckdb.connect(config={"arrow_lossless_conversion": "true"}) as con:
            con.execute("SET TimeZone = 'UTC'")
            return con.sql(sql).to_arrow_table()

    return run


@pytest.fixture
def shown() -> Callable[..., str]:
    """What a mode writes; keywords that it does not know itself are options."""

    def write(
        result: pa.Table | pa.RecordBatchReader,
        mode: str,
        *,
        width: int | None = None,
        secret: str = "",
        **options: Any,
    ) -> str:
        out = io.StringIO()
        render_mode(
            result,
            mode,
            out,
            width=width,
            secret_columns=frozenset(filter(None, [secret])),
            options=Options(**options),
        )
        return out.getvalue()

    return write
