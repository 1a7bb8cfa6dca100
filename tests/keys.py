"""The keys that simulated accounts sign ID tokens with, made once for all tests."""

import pytest

from vercel_sql.simulator import id_tokens

_make_key = id_tokens.new_key
_keys = []


@pytest.fixture(autouse=True)
def keys_of_other_tests(monkeypatch):
    """Gives each test the same keys, one after the other, since it takes long to make one."""
    given = 0

    def new_key(kid=None):
        nonlocal given
        if kid is not None:
            return _make_key(kid)
        if given == len(_keys):
            _keys.append(_make_key())
        given += 1
        return _keys[given - 1]

    monkeypatch.setattr(id_tokens, "new_key", new_key)
