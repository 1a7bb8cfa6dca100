"""The documented integration scopes, a table that needs no request and no token."""

from __future__ import annotations

import pytest

SCOPES = [
    *(
        "billing",
        "deployment",
        "deployment-check",
        "domain",
        "edge-config",
        "global-project-env-vars",
    ),
    *("integration-configuration", "log-drain", "project", "project-env-vars", "team", "user"),
]


@pytest.fixture
def quiet(connect, sent):
    yield connect(token=None)
    assert sent() == []


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT scope FROM {t} ORDER BY scope", SCOPES),
        ("SELECT scope FROM {t} WHERE scope = 'team'", ["team"]),
        ("SELECT scope FROM {t} WHERE scope IN ('user', 'none', 'team')", ["team", "user"]),
        ("SELECT scope FROM {t} WHERE scope LIKE 'project%'", ["project", "project-env-vars"]),
        ("SELECT scope FROM {t} WHERE purpose ILIKE '%certificates%'", ["domain"]),
        ("SELECT scope FROM {t} WHERE scope > 'team'", ["user"]),
        ("SELECT scope FROM {t} WHERE scope = 'none'", []),
        ("SELECT scope FROM {t} WHERE purpose IS NULL", []),
        ("SELECT count(*) FROM {t}", [12]),
        ("SELECT count(*) FROM {t} WHERE scope <> 'team'", [11]),
        ("SELECT scope FROM {t} JOIN (SELECT 'user' AS s) ON s = scope", ["user"]),
        ("SELECT purpose FROM {t} WHERE scope = 'team'", ["Read about the team."]),
        ("SELECT scope FROM {t} WHERE levels = ['read']", ["billing", "team", "user"]),
        (
            "SELECT scope FROM {t} WHERE NOT list_contains(levels, 'read')",
            ["deployment-check", "global-project-env-vars", "log-drain", "project-env-vars"],
        ),
        ("SELECT DISTINCT unnest(levels) FROM {t}", ["read", "read/write"]),
        ("SELECT 1 FROM {t} LIMIT 2", [1, 1]),
    ],
)
def test_queries(quiet, query, expected):
    rows = quiet.execute(query.format(t="vercel.integrations.scopes")).fetchall()
    assert sorted(row[0] for row in rows) == expected


def test_every_scope_says_what_it_is_for(quiet):
    rows = quiet.execute("SELECT scope, purpose FROM vercel.integrations.scopes").fetchall()
    assert all(scope and purpose.endswith(".") for scope, purpose in rows)


def test_explain_says_that_nothing_is_requested(quiet):
    rows = dict(quiet.execute("EXPLAIN FROM vercel.integrations.scopes").fetchall())
    assert "no request" in rows["vercel_requests"]
