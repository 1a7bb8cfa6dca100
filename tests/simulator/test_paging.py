"""No page loses or doubles a token, however many share a millisecond."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vercel_sql.simulator.store import Timeline


@dataclass(frozen=True)
class Row:
    id: str
    created_at: int


def timeline(moments):
    result = Timeline()
    result.extend([Row(f"{number:03}", moment) for number, moment in enumerate(moments)])
    return result


def walk(get_page, most):
    """Follow the cursors as a careful client does; give all pages."""
    pages, cursor, cursors, seen = [], None, set(), set()
    for _ in range(most):
        page = get_page(cursor)
        pages.append(page)
        new = {row.id for row in page.rows} - seen
        seen |= new
        if page.next is None:
            return pages
        assert new, "a page that is not the last brings something new"
        assert page.next not in cursors, "a cursor never repeats"
        cursors.add(page.next)
        cursor = str(page.next)
    raise AssertionError("the listing does not end")


moments = st.lists(st.integers(0, 12), max_size=60)
limits = st.one_of(st.integers(1, 8), st.integers(1, 100))


@given(moments, limits, st.booleans())
def test_every_row_comes_once_to_a_client_that_keeps_an_id_once(moments, limit, inclusive):
    rows = timeline(moments)
    pages = walk(lambda until: rows.page(limit, until, inclusive=inclusive), len(moments) + 1)
    kept = list(dict.fromkeys(row for page in pages for row in page.rows))
    assert kept == list(rows)
    for page in pages:
        assert page.pagination()["count"] == len(page.rows) <= limit
        assert page.prev == (page.rows[0].created_at if page.rows else None)
        if isinstance(page.next, int):
            assert page.next == page.rows[-1].created_at
    if not inclusive:
        assert sum(len(page.rows) for page in pages) == len(moments)


@given(moments, limits, st.booleans())
def test_a_number_is_the_cursor_wherever_it_can_be(moments, limit, inclusive):
    rows = timeline(moments)
    for page in walk(lambda until: rows.page(limit, until, inclusive=inclusive), 70):
        if isinstance(page.next, str):
            last = page.rows[-1].created_at
            sharing = moments.count(last)
            assert sharing >= limit if inclusive else sharing > 1


@given(moments, limits, st.booleans(), st.data())
def test_rows_that_stay_are_found_while_others_come_and_go(moments, limit, inclusive, data):
    rows = timeline(moments)
    stay = set(rows)
    seen, cursor = set(), None
    for number in range(3 * len(moments) + 3):
        page = rows.page(limit, cursor, inclusive=inclusive)
        seen |= set(page.rows)
        if page.next is None:
            break
        cursor = str(page.next)
        gone = data.draw(st.sampled_from(sorted(rows, key=lambda row: row.id)))
        if data.draw(st.booleans()):
            rows.remove(gone)
            stay.discard(gone)
        rows.extend([Row(f"new{number}", 100 + number)])
    else:
        raise AssertionError("the listing does not end")
    assert stay <= seen


def test_one_millisecond_for_all_pages_by_string_cursors():
    rows = timeline([5] * 25)
    first = rows.page(10, None)
    assert isinstance(first.next, str)
    assert not first.next.isdecimal()
    assert len(rows.page(10, "5").rows) == 10
    assert rows.page(10, "5", inclusive=False).rows == []


def test_an_id_is_in_a_timeline_once():
    rows = timeline([1])
    with pytest.raises(ValueError, match="already"):
        rows.extend([Row("000", 2)])
    with pytest.raises(ValueError, match="already"):
        rows.extend([Row("000", 2)])
    assert len(list(rows)) == 1


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 7, 20, 100])
def test_over_http_every_token_comes_once(start, connect, inclusive, limit):
    tied = [{"createdAt": 1_700_000_000_000 + n // 9} for n in range(60)]
    tied += [{"createdAt": 1_600_000_000_000} for _ in range(45)]
    simulator = start(tied, until_inclusive=inclusive)
    api = connect(simulator)
    ids, query, received = [], {"limit": limit}, 0
    for _ in range(110):
        body = api.get("/v6/user/tokens", params=query).json()
        received += len(body["tokens"])
        assert body["pagination"]["count"] == len(body["tokens"])
        ids += [token["id"] for token in body["tokens"] if token["id"] not in ids]
        if body["pagination"]["next"] is None:
            break
        query["until"] = body["pagination"]["next"]
    assert ids == [token.id for token in simulator.state.tokens()]
    if not inclusive:
        assert received == 106


def test_a_thousand_and_fifty_tokens_are_listed(start, connect):
    simulator = start(1049)
    api = connect(simulator)
    ids, query = set(), {"limit": 100}
    for _ in range(12):
        body = api.get("/v6/user/tokens", params=query).json()
        ids |= {token["id"] for token in body["tokens"]}
        if body["pagination"]["next"] is None:
            break
        query["until"] = body["pagination"]["next"]
    assert len(ids) == 1050


@pytest.mark.parametrize("inclusive", [True, False])
def test_since_and_until_are_both_inclusive_or_both_not(inclusive):
    rows = timeline([1, 2, 3, 4, 5])
    page = rows.page(10, "4", "2", inclusive=inclusive)
    assert [row.created_at for row in page.rows] == ([4, 3, 2] if inclusive else [3])
    assert page.next is None
