"""The mode `duckbox` in a terminal: counts, dots, wrapped values, and what other threads print."""

import threading

import pytest


def body(box: str) -> list[str]:
    """The cells of a box of one column, without its header."""
    return [line.strip("│ ") for line in box.splitlines()[4:] if line.startswith("│")]


def test_rows_are_counted_from_ten_on(query, shown) -> None:
    few, many = (query(f"SELECT range AS r, 1 AS one FROM range({n})") for n in (9, 10))

    assert shown(few, "duckbox").endswith("┴───────┘\n")
    assert shown(many, "duckbox").endswith("┴───────┘\n     10 rows   \n")


def test_rows_and_columns_stand_on_one_line_where_there_is_room(query, shown) -> None:
    table = query("SELECT range AS r, 1 AS a, 2 AS b, 3 AS c FROM range(50)")

    last = shown(table, "duckbox", width=80).splitlines()[-1]
    assert last == "  50 rows (40 shown)  4 columns"


@pytest.mark.parametrize(
    ("max_rows", "expected"),
    [
        (1, ["0"]),
        (2, ["0", "·", "·", "·", "11"]),
        (3, ["0", "1", "·", "·", "·", "11"]),
        (8, ["0", "1", "2", "3", "·", "·", "·", "8", "9", "10", "11"]),
        (9, [str(number) for number in range(12)]),  # dots would take as many lines
        (None, [str(number) for number in range(12)]),
    ],
)
def test_maxrows_keeps_both_ends(query, shown, max_rows, expected) -> None:
    table = query("SELECT range AS r FROM range(12)")

    assert body(shown(table, "duckbox", width=80, max_rows=max_rows)) == expected


def test_maxrows_of_none_shows_the_columns_and_the_count(query, shown) -> None:
    table = query("SELECT range AS r FROM range(12)")

    assert shown(table, "duckbox", width=80, max_rows=0) == (
        "┌───────────┐\n│     r     │\n│   int64   │\n├───────────┤\n└───────────┘\n"
        "   12 rows \n  (0 shown) \n"
    )


def test_maxrows_is_for_terminals(query, shown) -> None:
    assert len(body(shown(query("FROM range(12)"), "duckbox", max_rows=2))) == 12


def test_values_that_do_not_fit_are_wrapped_where_there_are_lines(query, shown) -> None:
    table = query("SELECT 1 AS id, repeat('ab', 50) AS t FROM range(2)")

    assert shown(table, "duckbox", width=80).splitlines()[3:] == [
        "├───────┼──────────────────────────────────────────────────────────────────────┤",
        f"│     1 │ {'ab' * 34} │",
        f"│       │ {'ab' * 16}{' ' * 36} │",
        "├───────┼──────────────────────────────────────────────────────────────────────┤",
        f"│     1 │ {'ab' * 34} │",
        f"│       │ {'ab' * 16}{' ' * 36} │",
        "└───────┴──────────────────────────────────────────────────────────────────────┘",
    ]


def test_values_that_do_not_fit_are_cut_where_there_are_no_lines(query, shown) -> None:
    table = query("SELECT 1 AS id, repeat('ab', 50) AS t")

    line = shown(table, "duckbox", width=80, max_rows=6).splitlines()[4]
    assert line == f"│     1 │ {'ab' * 33}a… │"


def test_the_widest_columns_give_way_first(query, shown) -> None:
    table = query("SELECT repeat('a', 25) AS a, repeat('b', 60) AS b, repeat('c', 60) AS c")

    rule = shown(table, "duckbox", width=100).splitlines()[0]
    assert [len(part) - 2 for part in rule.strip("┌┐").split("┬")] == [25, 33, 32]


@pytest.mark.parametrize("rows", [9_999, 10_000, 1_234_567])
def test_many_rows_are_counted_and_both_ends_shown(query, shown, rows) -> None:
    box = shown(query(f"SELECT range AS r FROM range({rows})"), "duckbox", width=80)

    ends = [*range(20), "·", "·", "·", *range(rows - 20, rows)]
    assert body(box)[: len(ends)] == [str(value) for value in ends]
    assert [line.strip() for line in box.splitlines()[-2:]] == [f"{rows} rows", "(40 shown)"]


@pytest.mark.parametrize("most", [9_000, 9_999, 12_000, None])
def test_no_row_of_a_long_result_is_left_out_unsaid(query, shown, most) -> None:
    text = shown(query("SELECT range AS r FROM range(11_000)"), "duckbox", width=80, max_rows=most)

    rows = [int(word) for line in text.splitlines() for word in line.split()[-1:] if word.isdigit()]
    if most is None or most >= 11_000:
        assert rows == list(range(11_000))
    else:
        assert rows == [*range(most - most // 2), *range(11_000 - most // 2, 11_000)]
        assert text.endswith(f"11000 rows (first {most - most // 2} and last {most // 2} shown)\n")


@pytest.mark.parametrize("width", [None, 80])
def test_no_row_is_left_out_of_a_long_result_that_is_wanted_whole(query, shown, width) -> None:
    table = query("SELECT range AS r, 'vcp_' || range AS token FROM range(10_001)")

    text = shown(table, "duckbox", width=width, secret="token")
    assert [word for word in text.split() if word.startswith("vcp_")] == [
        f"vcp_{number}" for number in range(10_001)
    ]


def test_a_narrow_terminal_gets_both_ends_as_lines(query, shown) -> None:
    table = query("SELECT range AS r, repeat('ab', 50) AS t FROM range(12)")

    text = shown(table, "duckbox", width=40, max_rows=3)
    assert [line for line in text.splitlines() if line.startswith("    r")] == [
        "    r = 0",
        "    r = 1",
        "    r = 11",
    ]
    assert text.endswith("\n\n12 rows (first 2 and last 1 shown)\n")


def test_what_another_thread_prints_is_not_in_the_table(query, shown, capsys) -> None:
    table = query("SELECT range AS r FROM range(5_000)")
    boxes = [shown(table, "duckbox")]
    drawn = threading.Event()

    def chatter() -> None:
        while not drawn.is_set():
            print("chatter")

    def draw() -> None:
        boxes.append(shown(table, "duckbox"))

    threads = [threading.Thread(target=draw) for _ in range(2)]
    talking = threading.Thread(target=chatter)
    for thread in (talking, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    drawn.set()
    talking.join()
    assert boxes == boxes[:1] * 3
    assert set(capsys.readouterr().out.split()) == {"chatter"}


def test_types_are_named_as_duckdb_names_them(query, shown) -> None:
    table = query(
        "SELECT [1] AS a, {'a': 1, 'b': 'x'} AS s, 1.5::DECIMAL(5, 2) AS d, MAP {1: 'x'} AS m,"
        " '1'::JSON AS j, TIMESTAMPTZ '2026-01-01' AS tz"
    )

    names = [name.strip() for name in shown(table, "duckbox").splitlines()[2].strip("│").split("│")]
    assert names == [
        "int32[]",
        "struct(a integer, b varchar)",
        "decimal(5,2)",
        "map(integer, varchar)",
        "json",
        "timestamp with time zone",
    ]


def test_a_long_type_does_not_widen_its_column(query, shown) -> None:
    table = query(
        "SELECT [{'a long name': 1, 'another long name': {'of a': 'struct'}}] AS s LIMIT 0"
    )

    assert shown(table, "duckbox") == (
        "┌─────────┐\n│    s    │\n│ varchar │\n└─────────┘\n  0 rows \n"
    )
