"""Whatever a WHERE clause says, the live table gives the rows that a plain table would give.

A pushed filter is not checked again by DuckDB, and a filter on the key chooses other requests:
so clauses are made from a grammar and run over the live table and over a copy of its rows.
"""

from __future__ import annotations

from random import Random

import pytest

LIVE = "vercel.authentication.user_tokens"
T0 = 1_700_000_000_000
DAY = 86_400_000
NAMES = [
    "ci", "CI", "deploy", "deploy%", "it's", 'say "hi"', "", " ", "ünïcode", "日本", "a_b", "a\\b",
    "zebra", "Straße", "two\nlines", None,
]  # fmt: skip
ORIGINS = ["github", "saml", "manual", "otp", "a-new-origin", None]
TYPES = ["oauth2-token", "login", "cli", None]
IDS = ["a/b", "..", ".", "a?b#c", "ümlaut", "per%2Fcent", "it's", "UPPER", "upper"]


def _scopes(random: Random, created: int):
    user = {"type": "user", "origin": random.choice(ORIGINS), "createdAt": created}
    sudo = {"origin": "totp", "expiresAt": T0 + random.randrange(-9, 9) * DAY}
    team = {"type": "team", "teamId": f"team_{random.randrange(3)}", "createdAt": created}
    return random.choice(
        [
            None, [], [user], [team], [user, team], [team, {**team, "teamId": "team_9"}],
            [{**user, "sudo": sudo}], [{**user, "sudo": None, "expiresAt": T0}], [None],
            [{**user, "newer": 2**70}, {**team, "sudo": {**sudo, "device": "key"}}],
        ]
    )  # fmt: skip


def _token(random: Random, n: int) -> tuple[dict, list[str]]:
    """A token's fields, and the names of those that the API does not show at all."""
    created = T0 + random.randrange(40) * DAY  # many share a millisecond
    fields = {
        "id": IDS[n] if n < len(IDS) else f"{random.randrange(16**12):012x}",
        "name": random.choice(NAMES),
        "type": random.choice(TYPES),
        "origin": random.choice(ORIGINS),
        "createdAt": created,
        "activeAt": random.choice([created, created + DAY, None, 2**53 + 1]),
        "expiresAt": random.choice([None, T0, T0 + 90 * DAY, T0 + random.randrange(99) * DAY]),
        "scopes": _scopes(random, created),
        "revokedAt": random.choice([None, None, created + 3]),
        "leakedAt": random.choice([None, None, created + 5, 0, -1]),
        "leakedUrl": random.choice([None, "https://example.com/a?b=c", "http://x"]),
    }
    if random.random() < 0.4:
        fields["risk"] = random.choice([{"score": 7, "why": ["a", "b"]}, None, 1.5, "high"])
    if random.random() < 0.3:
        fields["limit"] = random.choice([2**64, -3, True])
    missing = [name for name in ("name", "expiresAt", "scopes", "prefix") if random.random() < 0.15]
    return fields, missing


class Grammar:
    """Makes WHERE clauses; ``t`` is the table's alias and ``{table}`` the table itself."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def clause(self, depth: int) -> str:
        if depth == 0:
            return self.atom()
        form = self.random.choice(["{} AND {}", "{} OR {}", "NOT ({})", "({}) IS NOT TRUE", "{}"])
        parts = [f"({self.clause(depth - 1)})" for _ in range(form.count("{}"))]
        return form.format(*parts)

    def atom(self) -> str:
        kinds = [self.text, self.text, self.number, self.number, self.nested, self.json]
        return self.random.choice([*kinds, self.function, self.subquery, self.key])()

    def key(self) -> str:
        """What chooses single tokens: a key that is equal to constants, one way or another."""
        a, b, c = (self.value("id") for _ in range(3))
        x = f"t.{self.random.choice(['id', 'tokenId'])}"
        return self.random.choice(
            [
                f"{x} = {a}", f"{x} IN ({a}, {b}, {c})", f"{x} = {a} OR t.id = {b}",
                f"{x} = {a} AND t.tokenId = {b}", f"{x} IN ({a}, {b}) AND t.id <> {a}",
                f"t.id = {a} AND t.tokenId = {a}", f"{x} >= {a} AND {x} <= {a}",
                f"NOT ({x} <> {a})", f"{x} IN ({a}, {b}, NULL)", f"{x} IN ({a}, 'nobody')",
            ]
        )  # fmt: skip

    def value(self, column: str) -> str:
        """A value that some rows have, or no row."""
        pools = {
            "name": NAMES, "origin": ORIGINS, "type": TYPES,
            "leakedUrl": ["http://x", "https://example.com/a?b=c", "http"],
        }  # fmt: skip
        pool = pools.get(column, [*IDS, "nobody"])
        text = self.random.choice([value for value in pool if value is not None])
        return "'" + text.replace("'", "''") + "'"

    def text(self) -> str:
        column = self.random.choice(
            ["id", "tokenId", "name", "name", "origin", "type", "leakedUrl"]
        )
        a, b, c = (self.value(column) for _ in range(3))
        low, high = sorted((a, b))
        x = f"t.{column}"
        return self.random.choice(
            [
                f"{x} = {a}", f"{x} <> {a}", f"{x} < {a}", f"{x} >= {a}", f"{a} = {x}",
                f"{x} IN ({a}, {b}, {c})", f"{x} NOT IN ({a}, {b})", f"{x} IN ({a}, NULL)",
                f"{x} BETWEEN {low} AND {high}", f"{x} LIKE 'd%'", f"{x} LIKE '%e%'",
                f"{x} NOT LIKE 'a%'", f"{x} ILIKE 'C%'", f"{x} LIKE '_i'", f"{x} LIKE {a}",
                f"{x} IS NULL", f"{x} IS NOT NULL", f"{x} IS DISTINCT FROM {a}",
                f"{x} IS NOT DISTINCT FROM {a}", f"{x} = NULL", f"{x} = {a} OR {x} = {b}",
                f"{x} >= {low} AND {x} <= {high}", f"({x}, t.type) = ({a}, 'cli')",
            ]
        )  # fmt: skip

    def number(self) -> str:
        column = self.random.choice(["createdAt", "activeAt", "expiresAt", "revokedAt", "leakedAt"])
        other = self.random.choice(["createdAt", "activeAt", "expiresAt"])
        a = T0 + self.random.randrange(40) * DAY + self.random.choice([0, 0, 1, 5])
        x = f"t.{column}"
        return self.random.choice(
            [
                f"{x} = {a}", f"{x} <> {a}", f"{x} > {a}", f"{x} <= {a}", f"{x} < {a}.5",
                f"{x} BETWEEN {a} AND {a + 9 * DAY}", f"{x} NOT BETWEEN {a} AND {a + DAY}",
                f"{x} IN ({a}, {a + DAY}, {T0})", f"{x} NOT IN ({a}, {T0})", f"{x} IS NULL",
                f"{x} IS NOT NULL", f"{x} IS DISTINCT FROM t.{other}", f"{x} <= t.{other}",
                f"{x} = {2**53 + 1}", f"{x} > {2**53}", f"{x} <> -1", f"{x} = 1e3",
            ]
        )  # fmt: skip

    def function(self) -> str:
        a = self.random.randrange(9)
        return self.random.choice(
            [
                f"lower(t.name) = lower({self.value('name')})", f"length(t.name) > {a}",
                "coalesce(t.origin, 'none') IN ('none', 'saml')", "t.name || '' = 'ci'",
                f"epoch_ms(t.createdAt) >= TIMESTAMP '2023-12-{a + 10} 00:00:00'",
                f"t.createdAt % 7 = {a % 7}", "nullif(t.type, 'cli') IS NULL",
                "CASE WHEN t.expiresAt IS NULL THEN 'never' ELSE t.type END = 'never'",
                f"greatest(t.createdAt, t.expiresAt) < {T0 + a * 9 * DAY}", "t.id ^@ 'a'",
                "regexp_matches(t.id, '^[0-9]+')", "t.type COLLATE NOCASE = 'CLI'",
                "t.expiresAt::VARCHAR LIKE '%00'", f"hash(t.id) % 9 = {a}",
            ]
        )  # fmt: skip

    def nested(self) -> str:
        return self.random.choice(
            [
                "t.scopes[1].type = 'user'", "t.scopes[1].type <> 'user'", "len(t.scopes) = 2",
                "t.scopes IS NULL", "t.scopes = []", "t.scopes[-1].teamId = 'team_1'",
                "t.scopes[1].sudo IS NULL", f"t.scopes[1].sudo.expiresAt > {T0}",
                f"t.token.name = {self.value('name')}", f"t.token.expiresAt > {T0 + 9 * DAY}",
                "t.token.origin IS NULL", "t.token.leakedUrl IS NOT NULL", "t.token IS NULL",
                f"t.token.id IN ({self.value('id')}, {self.value('id')})",
                f"t.token.type = 'cli' OR t.token.createdAt < {T0 + 4 * DAY}",
                "list_contains([s.type FOR s IN t.scopes], 'team')",
                "len([s FOR s IN t.scopes IF s.teamId IS NOT NULL]) > 0",
                "list_max([s.createdAt FOR s IN t.scopes]) = t.createdAt",
                "t.token.scopes[1].origin IS NOT DISTINCT FROM t.origin",
                "'team_9' IN (SELECT unnest(t.scopes).teamId)",
            ]
        )  # fmt: skip

    def json(self) -> str:
        x = "t.additional_fields"
        return self.random.choice(
            [
                f"{x} IS NULL", f"{x} IS NOT NULL", f"{x}->>'$.risk.score' = '7'",
                f"{x}->>'$.risk' = 'high'", f"json_extract({x}, '$.risk') IS NULL",
                f"json_array_length({x}, '$.risk.why') = 2", f"{x}->>'$.limit' = '{2**64}'",
                f"{x}->>'$.scopes[0].newer' IS NOT NULL", f"json_exists({x}, '$.limit')",
                f"json_type({x}, '$.risk') = 'NULL'", f"{x}::VARCHAR LIKE '%device%'",
                f"{x} = '{{\"risk\":\"high\"}}'", f"{x} <> '{{\"risk\":\"high\"}}'",
                f"(({x}->'$.risk.score')::INTEGER) > 5 IS TRUE",
            ]
        )  # fmt: skip

    def subquery(self) -> str:
        a = self.random.randrange(4)
        return self.random.choice(
            [
                f"t.id IN (SELECT token_id FROM owners WHERE rank > {a})",
                f"t.id NOT IN (SELECT token_id FROM owners WHERE rank < {a} AND token_id <> '')",
                "t.id NOT IN (SELECT token_id FROM owners)",
                f"EXISTS (SELECT 1 FROM owners o WHERE o.token_id = t.id AND o.rank = {a})",
                "NOT EXISTS (SELECT 1 FROM owners o WHERE o.token_id = t.id AND o.owner = 'ann')",
                "t.createdAt = (SELECT max(createdAt) FROM {table} u WHERE u.origin = t.origin)",
                "t.createdAt > (SELECT avg(createdAt) FROM {table})",
                f"t.id = (SELECT token_id FROM owners WHERE rank = {a} ORDER BY ALL LIMIT 1)",
                "t.name = ANY (SELECT owner FROM owners)",
                "(SELECT count(*) FROM owners o WHERE o.token_id = t.tokenId) = 1",
                "t.tokenId IN (SELECT id FROM {table} u WHERE u.expiresAt IS NULL)",
                "t.createdAt >= ALL (SELECT createdAt FROM {table} u WHERE u.type = t.type)",
            ]
        )  # fmt: skip


QUERIES = [
    "SELECT t.id, t.name, t.expiresAt FROM {table} t WHERE {where}",
    "SELECT t.* FROM {table} t WHERE {where}",
    "SELECT t.name FROM {table} t WHERE {where}",
    "SELECT t.id, t.scopes[1].type, t.token.createdAt FROM {table} t WHERE {where}",
    "SELECT t.id FROM {table} t WHERE {where} ORDER BY t.id LIMIT 7",
    "SELECT t.id FROM {table} t WHERE {where} ORDER BY t.createdAt DESC NULLS LAST, t.id OFFSET 3",
    "SELECT count(*), count(t.name), min(t.id), max(t.createdAt) FROM {table} t WHERE {where}",
    "SELECT t.origin, count(*) FROM {table} t WHERE {where} GROUP BY ALL HAVING count(*) > 1",
    "SELECT t.id, rank() OVER (PARTITION BY type ORDER BY t.id) FROM {table} t WHERE {where}",
    "SELECT t.id, o.owner FROM {table} t JOIN owners o ON o.token_id = t.id WHERE {where}",
    "SELECT t.id, o.owner FROM {table} t LEFT JOIN owners o ON o.token_id = t.id WHERE {where}",
    "SELECT t.id FROM {table} t SEMI JOIN owners o ON o.token_id = t.id WHERE {where}",
    "SELECT t.id FROM {table} t ANTI JOIN owners o ON o.token_id = t.tokenId WHERE {where}",
    "SELECT t.id FROM owners o JOIN {table} t ON o.token_id = t.id AND o.rank = 2 WHERE {where}",
    "SELECT t.id, u.id FROM {table} t JOIN {table} u ON u.createdAt = t.createdAt AND u.id < t.id "
    "WHERE {where}",
    "WITH c AS (SELECT * FROM {table}) SELECT DISTINCT t.type FROM c t WHERE {where}",
]


def _queries() -> list[str]:
    """Queries with clauses that are all different; each `{table}` is still to be filled in."""
    grammar = Grammar(seed=20)
    clauses: dict[str, None] = {}
    while len(clauses) < 230:
        clauses[grammar.clause(depth=len(clauses) % 4)] = None
    while len(clauses) < 270:
        clauses[f"({grammar.key()}) AND ({grammar.clause(depth=1)})"] = None
    return [
        QUERIES[0 if n % 2 else n // 2 % len(QUERIES)].replace("{where}", clause)
        for n, clause in enumerate(clauses)
    ]


@pytest.fixture
def account(simulate):
    """130 tokens with NULLs, missing and unknown fields, on two pages; using one moves nothing."""
    sim = simulate([], now_ms=T0 + 50 * DAY)
    random = Random(11)
    for n in range(130):
        fields, missing = _token(random, n)
        sim.state.add_token(fields, without=missing)
    sim.state.touch = lambda token: None
    return sim


@pytest.fixture
def tables(account, attached):
    """The live table, a plain copy of it as `plain`, and a local table to join with."""
    con = attached(account)
    con.execute(f"CREATE TABLE plain AS SELECT * FROM {LIVE}")
    con.execute("CREATE TABLE owners (token_id VARCHAR, owner VARCHAR, rank INTEGER)")
    con.execute(
        "INSERT INTO owners SELECT id, ['ann', 'bob', 'ci', NULL][1 + n % 4], n % 5"
        " FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM plain) WHERE n % 3 <> 0"
    )
    con.execute("INSERT INTO owners VALUES (NULL, 'nobody', 1), ('gone', 'ann', 2), ('..', 'x', 2)")
    return con


def _rows(con, query: str) -> list[str]:
    rows = con.execute(query).fetchall()
    ordered = " ORDER BY t." in query.replace("type ORDER BY", "")
    return [repr(row) for row in rows] if ordered else sorted(map(repr, rows))


@pytest.mark.timeout(240)
def test_live_rows_are_those_of_a_plain_table(tables, account, scans, capsys):
    wrong, with_rows, reached, looked_up = [], 0, 0, 0
    queries = _queries()
    for query in queries:
        expected = _rows(tables, query.replace("{table}", "plain"))
        scans.clear()
        account.clear_requests()
        got = _rows(tables, query.replace("{table}", LIVE))
        if got != expected:
            wrong.append((query, scans[:], len(got), len(expected)))
        with_rows += bool(expected) and expected != ["(0, 0, None, None)"]
        reached += any(scan is not None for scan in scans)
        looked_up += any("/v5/" in request.path for request in account.requests())
    with capsys.disabled():
        print(
            f"\n{len(queries)} WHERE clauses, {with_rows} with rows; the filters of {reached} "
            f"reached the scan, those of {looked_up} chose single tokens"
        )
    assert wrong == []
    assert len(queries) >= 200
    assert with_rows >= len(queries) / 2
    assert reached >= 80
    assert looked_up >= 15


def test_the_copy_has_what_the_clauses_are_about(tables):
    """The comparison is worth something only over rows with NULLs and unknown fields."""
    counts = tables.execute(
        "SELECT count(*), count(name), count(expiresAt), count(scopes), count(additional_fields),"
        " count(DISTINCT createdAt), count(*) FILTER (scopes[1].sudo IS NOT NULL) FROM plain"
    ).fetchone()
    total, *some = counts
    assert total == 131
    assert all(0 < count < total for count in some)
