"""EXEC, its arguments and @@json."""

from decimal import Decimal

import pytest

from vercel_sql.errors import ParameterError, SQLSyntaxError
from vercel_sql.sql import Exec, Native, Parameters, check, parse
from vercel_sql.sql.parameters import TextValue


def arguments(text):
    (statement,) = parse(f"EXEC v.a.t.m {text}")
    assert isinstance(statement, Exec)
    return [(argument.name, argument.value.text) for argument in statement.arguments]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("@a = 1", [("a", "1")]),
        ("@a=1,@b=f(1, 2), @c = [1, 2]", [("a", "1"), ("b", "f(1, 2)"), ("c", "[1, 2]")]),
        ("@a = 1\n@b = 2\r\n@c = 3", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("@a = @ -5, @b = @(-5)", [("a", "@ -5"), ("b", "@(-5)")]),
        ("@a = 1 +\n@ -5\n@b = 2", [("a", "1 +\n@ -5"), ("b", "2")]),
        ("@a = CASE WHEN x THEN\n@ -5 END", [("a", "CASE WHEN x THEN\n@ -5 END")]),
        ("@a = (SELECT 1,\n@b = 2)", [("a", "(SELECT 1,\n@b = 2)")]),
        (
            "@a=$p\n@b=?\n@c={{ p }}\n@d=:p",
            [*zip("abcd", ["$p", "?", "{{ p }}", ":p"], strict=True)],
        ),
        ('@"a b" = 1, @type = 2', [("a b", "1"), ("type", "2")]),
        ("@a = {'k': 1}\n@b = x -> x", [("a", "{'k': 1}"), ("b", "x -> x")]),
    ],
)
def test_arguments(text, expected):
    assert arguments(text) == expected


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("EXEC", r"name of a method after EXEC at the end of the statement, 1:5"),
        ("EXEC a.b x", r"argument such as @name = value.* 1:10"),
        ("EXEC a @x 1", r"= after @x at 1:11"),
        ("EXEC a @x =", r"a value for @x at the end"),
        ("EXEC a @x =\n@y = 2", r"a value for @x at 2:1"),
        ("EXEC a @x = , @y = 2", r"a value for @x at 1:13"),
        ("EXEC a @x = 1,", r"another argument after the comma"),
        ("EXEC a @x = 1,, @y = 1", r"an argument such as @name = value at 1:15"),
        ("EXEC a @x = 1 @y = 2", r"a comma between two arguments on one line at 1:15"),
        ("EXEC a @x = 1, @X = 2", r"@X is given twice, at 1:16"),
        ("EXEC a @ = 1", r"name of an argument after @"),
        ("EXEC a @@jso = '{}'", r"json after @@"),
        ("EXEC a @@json = '{}', @x = 1", r"@@json stands for all arguments"),
        ("EXEC a @x = 1\n@@json = '{}'", r"@@json stands for all arguments"),
        ("EXEC a @@json = '{}', @@json = '{}'", r"@@json is given twice"),
        ("SELECT 1; EXEC a @x 1", r"1:21"),
    ],
)
def test_what_is_malformed_is_refused_with_its_place(sql, message):
    with pytest.raises(SQLSyntaxError, match=message):
        parse(sql)


def test_execute_is_duckdbs():
    (statement,) = parse("EXECUTE q(1)")
    assert isinstance(statement, Native)


def json_of(text, values=None, *, as_text=False):
    (statement,) = parse(f"EXEC a.b @@json = $json${text}$json$")
    return statement.json.resolve(Parameters(values, text=as_text))


def test_json_keeps_every_value_as_it_is():
    text = '{"i": 12345678901234567890123, "f": 1.5, "d": 0.12345678901234567890, "e": 1e400,'
    text += '"s": "\\u00fc\\"{", "n": null, "l": [true, {}]}'
    value = json_of(text)
    assert value == {
        "i": 12345678901234567890123,
        "f": 1.5,
        "d": Decimal("0.12345678901234567890"),
        "e": Decimal("1e400"),
        "s": 'ü"{',
        "n": None,
        "l": [True, {}],
    }


@pytest.mark.parametrize("value", ['"', '"}, {"', "{{ b }}", "\\u0022", "\n", "{{ a }}", ""])
def test_json_placeholders_bind_values_and_never_paste_them(value):
    text = '{"whole": "{{ a }}", "bare": {{ a }}, "in": ["x {{ a }} y{{ a }}"], "b": {{b}}}'
    found = json_of(text, {"a": value, "b": "B"})
    assert found == {
        "whole": value,
        "bare": value,
        "in": [f"x {value} y{value}"],
        "b": "B",
    }


def test_json_placeholders_keep_their_type():
    found = json_of('{"a": "{{ a }}", "b": {{ b }}, "c": "{{ c }}%"}', {"a": 1, "b": [2], "c": 3})
    assert found == {"a": 1, "b": [2], "c": "3%"}
    found = json_of('{"a": {{ a }}}', {"a": "1"}, as_text=True)
    assert isinstance(found["a"], TextValue)


def test_members_without_a_value_are_left_out_at_any_depth():
    found = json_of('{"a": "{{ x }}", "b": {"c": {{ y }}, "d": 1}, "e": [{"f": {{x}}}]}')
    assert found == {"b": {"d": 1}, "e": [{}]}


@pytest.mark.parametrize("text", ['{"a": "x {{ p }}"}', '{"a": ["{{ p }}"]}', '{"a": [{{ p }}]}'])
def test_other_json_placeholders_need_a_value(text):
    with pytest.raises(ParameterError, match=r"\{\{ p \}\} has no value"):
        json_of(text)
    with pytest.raises(ParameterError, match=r"\{\{ p \}\} has no value"):
        check(parse(f"EXEC a.b @@json = '{text}'"), Parameters())


def test_braces_that_are_escaped_are_text():
    assert json_of(r'{"a": "\u007b{ x }}"}') == {"a": "{{ x }}"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expecting property name"),
        ('{"a": 1, "a": 2}', "a member is there twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"{{ k }}": 1}', "name of a member"),
        ("{{{ k }}: 1}", "name of a member"),
        ("[1]", "not a JSON object"),
        ('{"a": "\\ud800"}', "half a character"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "too large"),
        ('{"a": 1e99999999999999999999}', "too large"),
        ('{"a": 1}\n}', "line 2"),
    ],
)
def test_json_that_cannot_be_sent_is_refused_before_anything_runs(text, message):
    with pytest.raises(SQLSyntaxError, match=message):
        parse(f"EXEC a.b @@json = '{text}'")


@pytest.mark.parametrize("value", ["1", "E'{}'", "'{}' || ''", "f()"])
def test_json_is_written_out_or_one_placeholder(value):
    with pytest.raises(SQLSyntaxError, match="one string"):
        parse(f"EXEC a.b @@json = {value}")


@pytest.mark.parametrize("written", ["$p", ":p", "'{{ p }}'", "{{ p }}"])
def test_json_may_be_one_parameter(written):
    (statement,) = parse(f"EXEC a.b @@json = {written}")
    for given in ('{"a": "{{ p }}"}', {"a": "{{ p }}"}):
        assert statement.json.resolve(Parameters({"p": given})) == {"a": "{{ p }}"}
    for given in ("[]", "{", 5, None, '{"SECRET": 1, "SECRET": 2}'):
        with pytest.raises(ParameterError) as caught:
            statement.json.resolve(Parameters({"p": given}))
        assert "SECRET" not in str(caught.value)
    with pytest.raises(ParameterError, match="no value"):
        check([statement], Parameters())


def test_a_list_has_no_text_to_put_into_a_string():
    with pytest.raises(ParameterError, match="must be a string or a finite number, not list"):
        json_of('{"a": "x{{ p }}"}', {"p": ["SECRET"]})


def test_an_argument_that_is_all_placeholder_may_be_left_out():
    (statement,) = parse("EXEC a.b @x = '{{ x }}', @y = $y || ''")
    assert [bool(argument.value.sole) for argument in statement.arguments] == [True, False]
    check([statement], Parameters({"y": "1"}))
    with pytest.raises(ParameterError, match=r"\$y has no value"):
        check([statement], Parameters({"x": "1"}))
