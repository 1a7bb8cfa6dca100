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


def test_each_old_token_is_revoked_after_the_new_one_has_answered(execute):
    ran = execute("3_safe_rotation", SENT)
    sent = [tuple(each) for each in json.loads(ran.printed("last"))]
    (old,) = ran.table("find")
    writes = [place for place, each in enumerate(sent) if each[0] != "GET"]
    # Twice as it should be, once stopped and taken back, again, and once in steps.
    assert [sent[place][0] for place in writes] == ["POST", "DELETE"] * 5
    assert sent[writes[1]][1] == f"/v3/user/tokens/{old['id']}"
    for number, (made, gone) in enumerate(zip(writes[::2], writes[1::2], strict=True)):
        _, _, by, _ = sent[made]
        proofs = [status for _, path, other, status in sent[made:gone] if other != by]
        assert proofs == [403 if number == 2 else 200]
