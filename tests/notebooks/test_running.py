"""The notebooks run from top to bottom in a real kernel, and give what they are saved with."""

from __future__ import annotations

import json

import pytest

SECRETS = "import json\nprint(json.dumps([token.bearer for token in simulator.state.tokens()]))"
SENT = (
    "import json\nprint(json.dumps([(each.method, each.path, each.token_id, each.status)"
    " for each in simulator.requests()]))"
)

pytestmark = pytest.mark.timeout(330)


@pytest.mark.parametrize("name", ["1_token_audit", "2_who_must_act", "3_safe_rotation"])
def test_it_gives_what_it_is_saved_with_and_no_secret(saved, execute, name):
    ran = execute(name, SECRETS)
    assert ran.steady()[:-1] == saved(name).steady()
    secrets = json.loads(ran.printed("last"))
    assert len(secrets) > 10
    before, _, _ = ran.text.partition('"id": "last"')
    assert not [secret for secret in secrets if secret in before]


def test_the_old_token_is_revoked_after_the_new_one_has_answered(execute):
    ran = execute("3_safe_rotation", SENT)
    sent = [tuple(each) for each in json.loads(ran.printed("last"))]
    (old,), (new,) = ran.table("find"), ran.table("make")
    writes = [each for each in sent if each[0] != "GET"]
    made = ("POST", "/v3/user/tokens", 200)
    path, status = f"/v3/user/tokens/{old['id']}", 200
    assert [(method, path, status) for method, path, _, status in writes[:2]] == [
        made,
        ("DELETE", path, status),
    ]
    proof = sent.index(("GET", "/v2/user", new["id"], 200))
    assert sent.index(writes[0]) < proof < sent.index(writes[1])
    # The proof that fails, and the one that holds.
    assert [method for method, *_ in writes[2:]] == ["POST", "DELETE", "POST", "DELETE"]
    asked = [status for method, path, _, status in sent if path == "/v2/user"]
    assert asked == [200, 403, 200]
