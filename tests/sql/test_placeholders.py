"""Placeholders stand for whole values and are bound, never pasted."""

import duckdb
import pytest

from vercel_sql.errors import ParameterError
from vercel_sql.sql import Parameters, check, parse
from vercel_sql.sql.parameters import TextValue


def bound(sql, values):
    (statement,) = parse(sql)
    return statement.fragment.bind(Parameters(values))


def result(sql, values):
    return duckdb.execute(*bound(sql, values)).fetchall()


def names(sql):
    return [placeholder.written for placeholder in parse(sql)[0].fragment.placeholders]


@pytest.mark.parametrize(
    "sql", ["SELECT $v", "SELECT :v", "SELECT {{ v }}", "SELECT {{v}}", "SELECT {{\n v\t}}"]
)
def test_every_form_binds_the_typed_value(sql):
    assert result(sql, {"v": 42}) == [(42,)]
    assert result(sql, {"v": None}) == [(None,)]


@pytest.mark.parametrize("value", ["'; DROP TABLE t; --", "{{ v }}", "$v", "", "'", "\\", "日本"])
def test_a_value_arrives_exactly(value):
    assert result("SELECT '{{ v }}', {{ v }}, $v", {"v": value}) == [(value,) * 3]


def test_names_match_whatever_their_case_as_duckdbs_do():
    assert result("SELECT $TokenId, {{ tokenid }}", {"tokenID": 1}) == [(1, 1)]


def test_positions_count_through_the_whole_script():
    first, second = parse("SELECT ?, ?::VARCHAR || 'x'; SELECT ?, $1,$2, ?1")
    parameters = Parameters([1, 2, 3])
    assert duckdb.execute(*first.fragment.bind(parameters)).fetchall() == [(1, "2x")]
    assert duckdb.execute(*second.fragment.bind(parameters)).fetchall() == [(3, 1, 2, 1)]


def test_dollar_parameters_without_blanks_are_no_dollar_quote():
    assert bound("SELECT $1,$2+$3", [1, 2, 3])[0] == "SELECT $1,$2+$3"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM t WHERE id = :id", [":id"]),
        ("SELECT :a, (:b), f(:c, x := :d), -:e, [:f, :g]", [f":{c}" for c in "abcdefg"]),
        ("VALUES (:a, :b)", [":a", ":b"]),
        ("SELECT 1 WHERE x IN (:a) AND :b OR NOT :c LIMIT :d", [":a", ":b", ":c", ":d"]),
        (
            "SELECT CASE WHEN :a THEN :b ELSE :c END, x BETWEEN :d AND :e",
            [f":{c}" for c in "abcde"],
        ),
        ("SELECT {'k': :a}", [":a"]),
        ('SELECT a:b, "c":d, date:e', []),
        ("SELECT x[1:n], x[i:n], x[:n], f(x)[:n], x[-1:n:m], [1][:n]", []),
        ("SELECT {'a':b, c:d}", []),
        ("SELECT x::INT, 'a'::v, f(a:=b), a : b", []),
        ("FROM a:t, b:u", []),
    ],
)
def test_a_colon_is_a_placeholder_where_a_value_can_stand(sql, found):
    assert names(sql) == found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT MAP {{'a': 1}: 2}",
        "SELECT {'a': {'b': 1}}",
        "SELECT '%{{ x }}%'",
        "SELECT E'{{ x }}'",
        "SELECT X'{{ x }}'",
        "SELECT $$ {{ x }} $$",
        'SELECT "{{ x }}"',
        "SELECT 1 -- {{ x }} $y ?",
        "SELECT ' {{ x }}', '{{ x.y }}', '{{ }}', '{{ 1 }}'",
        "PREPARE q AS SELECT $1, ?, $a",
    ],
)
def test_no_placeholder(sql):
    assert names(sql) == []


def test_in_a_struct_the_inner_braces_are_the_placeholders():
    assert bound("SELECT {'a':{{x}}}", {"x": 1})[0] == "SELECT {'a':$x}"


def test_a_type_before_the_placeholder_becomes_a_cast():
    sql = "SELECT DATE '{{ d }}', INTERVAL '{{ n }}' DAY, interval {{ i }}, INTERVAL :n HOUR"
    ((day, days, interval, hours),) = result(sql, {"d": "2026-01-02", "n": "3", "i": "4 days"})
    assert (str(day), days.days, interval.days, hours.seconds) == ("2026-01-02", 3, 4, 3 * 3600)


def test_only_the_values_that_a_statement_uses_are_given():
    first, second = parse("SELECT $a; SELECT $b")
    parameters = Parameters({"a": 1, "b": 2})
    assert first.fragment.bind(parameters)[1] == {"a": 1}
    assert second.fragment.bind(parameters)[1] == {"b": 2}


def test_a_placeholder_in_prepare_is_refused():
    with pytest.raises(ParameterError, match=r"write \$x there"):
        parse("PREPARE q AS SELECT '{{ x }}'")


def test_text_from_the_command_line_says_so():
    parameters = Parameters({"a": "1", "b": 2}, text=True)
    assert isinstance(parameters["A"], TextValue)
    assert type(parse("SELECT $a")[0].fragment.bind(parameters)[1]["a"]) is str
    assert not isinstance(Parameters({"a": "1", "b": "2"}, text={"b"})["a"], TextValue)


def test_names_that_differ_in_case_only_are_refused():
    with pytest.raises(ParameterError, match="a and A are the same"):
        Parameters({"a": 1, "A": 2})


def test_one_string_is_no_sequence_of_parameters():
    with pytest.raises(ParameterError, match="not one string"):
        Parameters("abc")


def refused(script, values, match):
    with pytest.raises(ParameterError, match=match) as caught:
        check(parse(script), Parameters(values))
    assert "SECRET" not in str(caught.value)


def test_missing_values_are_found_before_anything_runs():
    refused("SELECT 1; SELECT '{{ a }}', $b", {}, r"'\{\{ a \}\}', \$b have no value")
    refused("EXPLAIN SELECT {{ a }}", None, r"\{\{ a \}\} has no value")
    refused("SELECT ?, ?", ["SECRET"], r"more values by position than the 1")
    refused("SELECT ?", None, r"\? \(number 1\) has no value")
    many = ", ".join(f"$p{number}" for number in range(1000))
    refused(f"SELECT {many}", {}, r"placeholders \$p0, .*, \$p7 and 992 more have no value")


def test_a_parameter_that_nothing_uses_is_refused():
    refused("SELECT $tokenId", {"tokenId": 1, "tokenIdd": "SECRET"}, r"tokenIdd.*mean \$tokenId\?")
    refused("SELECT 1", {"a": "SECRET"}, "No placeholder uses the parameter a")
    refused("SELECT ?", [1, "SECRET"], "Value 2 of the 2")


def test_positions_and_names_do_not_mix():
    refused("SELECT ?; SELECT $a", {"a": 1}, r"by position or by name.*\? .*\$a")


def test_a_placeholder_inside_a_longer_string_is_refused_once_it_has_a_value():
    refused("SELECT '%{{ x }}%'", {"x": "SECRET"}, r"1:8 holds \{\{ x \}\}.*\|\|")
    check(parse("SELECT '%{{ x }}%'"), Parameters())


def test_what_duckdb_refuses_is_left_to_duckdb():
    check(parse("SELECT 'open"), Parameters({"a": 1}))


def test_nothing_shows_a_value_or_the_text():
    parameters = Parameters({"a": "SECRET"}, text=True)
    (statement,) = parse("DELETE FROM t WHERE id = 'SECRET'")
    (call,) = parse("EXEC a.b @x = 'SECRET'")
    (body,) = parse('EXEC a.b @@json = \'{"a": "SECRET"}\'')
    shown = [parameters, parameters["a"], statement, statement.where, statement.constant_match()]
    shown += [call, call.arguments, body, body.json, statement.fragment.lexemes]
    assert "SECRET" not in repr(shown)
    assert repr(statement) == "<Delete at 1:1>"
