"""Results as the command line gets them, and what the modes make of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
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


@pytest.fixture
def streamed() -> Callable[[io.StringIO], tuple[pa.RecordBatchReader, list[str]]]:
    """A result of three batches, 7000 to 7002, and what was written when each was asked for."""

    def make(out: io.StringIO) -> tuple[pa.RecordBatchReader, list[str]]:
        seen: list[str] = []
        schema = pa.schema([("n", pa.int64())])

        def batches() -> Iterator[pa.RecordBatch]:
            for number in range(3):
                seen.append(out.getvalue())
                yield pa.record_batch([pa.array([7000 + number])], schema)

        return pa.RecordBatchReader.from_batches(schema, batches()), seen

    return make
