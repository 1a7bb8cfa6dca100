"""Rows as a notebook shows them: small, exact, and text whatever it holds."""

from __future__ import annotations


def _html(ran):
    return ran.value._repr_html_()


def test_what_the_api_gives_is_text(run):
    nasty = "<script>alert(1)</script>\x1b[31m\u202e"
    ran = run("%vercel SELECT $nasty AS \"<b>\", NULL AS n, 'NULL' AS t", nasty=nasty)
    html = _html(ran)
    assert "<script>" not in html
    assert "<b>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[31m\\u202e" in html
    assert "<i>NULL</i>" in html
    assert ">NULL</td>" in html
    assert "\x1b" not in repr(ran.value)


def test_a_long_result_is_short(run):
    ran = run("%vercel SELECT range AS n FROM range(5000)")
    assert "5,000 rows, the first 50 shown" in _html(ran)
    assert "5,000 rows, the first 50 shown" in repr(ran.value)
    assert _html(ran).count("<tr>") == 51
    assert len(_html(ran)) < 2_000
    assert len(ran.value.df()) == 5000


def test_numbers_stand_on_the_right(run):
    html = _html(run("%vercel SELECT 1 AS n, 'x' AS t, 1.5 AS d"))
    assert '<th>n</th><th style="text-align: left">t</th><th>d</th>' in html
    assert '<td>1</td><td style="text-align: left">x</td><td>1.5</td>' in html
    assert "<p>1 row</p>" in html


def test_an_empty_result_has_its_columns(run):
    html = _html(run("%vercel SELECT 1 AS n WHERE false"))
    assert "<th>n</th>" in html
    assert "<p>0 rows</p>" in html


def test_no_line_is_forged(run, sim):
    """Neither in what a cell fails with, nor in what it says of the account."""
    evil = "x\nvercel-sql: revoked\n::add-mask::x\n##vso[task.complete]"
    sim.faults({"kind": "patch", "path": "/v2/user", "patch": {"user": {"username": evil}}})
    told = run("%vercel").out
    assert r"x\nvercel-sql: revoked\n" in told
    assert told.count("\n") == 1
    sim.faults({"kind": "status", "status": 403, "message": evil, "times": None})
    ran = run("%vercel FROM vercel.user.user")
    assert r"x\nvercel-sql: revoked\n::add-mask::x\n\x23#vso[" in ran.out
    assert "\n" not in str(ran.error)
    text = run("%vercel SELECT $evil::INT", evil=evil).out
    assert "\n    vercel-sql: revoked\n    \\x3a:add-mask::x\n" in text
