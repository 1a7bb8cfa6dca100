"""The one user whose account is simulated."""

from random import Random

from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import new_secret

_DAY_MS = 86_400_000


def seed_user(random: Random, now_ms: int) -> Object:
    """Make a full account as `/v2/user` shows it; the default team is set by its owner."""
    return {
        "id": new_secret(random),
        "email": "ada@example.com",
        "name": "Ada Example",
        "username": "ada-example",
        "avatar": random.randbytes(20).hex(),
        "defaultTeamId": None,
        "createdAt": now_ms - 1500 * _DAY_MS - random.randrange(_DAY_MS),
        "softBlock": None,
        "billing": None,
        "resourceConfig": {"concurrentBuilds": 1, "nodeType": "enhanced"},
        "stagingPrefix": "ada-example",
        "hasTrialAvailable": False,
    }


def limited(user: Object) -> Object:
    """Give the user as a token sees it that does not reach the whole account."""
    always = ("id", "email", "name", "username", "avatar", "defaultTeamId")
    return {"limited": True, **{name: user[name] for name in always if name in user}}
