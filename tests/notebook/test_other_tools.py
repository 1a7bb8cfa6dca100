"""`Connection.duckdb` in the notebook tools that people have: JupySQL, magic_duckdb, marimo."""

from __future__ import annotations

import marimo
import pytest

TABLE = "vercel.authentication.user_tokens"
QUERY = "SELECT name, idle_days FROM vercel.audit.user_tokens ORDER BY idle_days, name LIMIT 3"


@pytest.fixture
def expected(connect):
    return connect().sql(QUERY).fetchall()


@pytest.fixture
def native(connect):
    """What people hand to a tool: nothing was run on it before."""
    return connect().duckdb


def _refuse(sim):
    sim.faults(kind="status", status=403, method="GET", times=None)


def _says_why(text, sim):
    assert "403" in text
    assert sim.token not in text


def test_jupysql(shell, run, native, expected, sim):
    shell.extension_manager.load_extension("sql")
    assert run("%sql native --alias vercel", native=native).error is None
    ran = run(f"%sql {QUERY}")
    assert ran.error is None, ran.out
    assert [tuple(row) for row in ran.value] == expected
    assert list(run(f"rows = %sql {QUERY}\nrows.DataFrame().name").value) == [
        n for n, _ in expected
    ]
    ran = run(f"%%sql\nSELECT count(*) AS n FROM {TABLE}\nWHERE id IS NOT NULL")
    assert ran.error is None, ran.out
    assert ran.value[0][0] == 31
    run("%config SqlMagic.autopandas = True")
    assert run(f"%sql SELECT count(*) AS n FROM {TABLE}").value.n[0] == 31
    _refuse(sim)
    ran = run(f"%sql SELECT * FROM {TABLE}")
    assert ran.error is not None
    _says_why(ran.out + str(ran.error), sim)


def test_magic_duckdb(shell, run, native, expected, sim):
    shell.extension_manager.load_extension("magic_duckdb")
    assert run("%dql -co native", native=native).error is None
    ran = run(f"%dql {QUERY}")
    assert ran.error is None, ran.out
    assert list(ran.value.itertuples(index=False, name=None)) == expected
    # Its "-t pl" and "-t arrow" fail on DuckDB 2.0, whatever the connection.
    assert run(f"%%dql -t df\nSELECT count(*) AS n FROM {TABLE}").value.n[0] == 31
    _refuse(sim)
    ran = run(f"%dql SELECT * FROM {TABLE}")
    assert ran.error is not None
    _says_why(ran.out + str(ran.error), sim)


def test_a_cell_of_marimo(native, expected, sim):
    def sql(query):
        return marimo.sql(query, engine=native, output=False)

    assert sql(QUERY).rows() == expected
    assert sql(f"SELECT count(*) AS n FROM {TABLE}").rows() == [(31,)]
    _refuse(sim)
    with pytest.raises(Exception, match="403") as caught:
        sql(f"SELECT * FROM {TABLE}")
    _says_why(str(caught.value), sim)


def test_a_notebook_of_marimo(native, expected):
    app = marimo.App()

    @app.cell
    def _():
        import marimo as mo

        return (mo,)

    @app.cell
    def _(mo, con, query):
        rows = mo.sql(query, engine=con, output=False)
        return (rows,)

    _, defined = app.run(defs={"con": native, "query": QUERY})
    assert defined["rows"].rows() == expected
