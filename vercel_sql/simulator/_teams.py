"""The account's teams, in full and in limited form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import new_secret

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Team:
    """A team that the user belongs to.

    `limited_by` says what keeps it from the caller, and `more` has what only some teams show.
    """

    id: str
    slug: str
    name: str | None
    created_at: int
    user_id: str
    role: str = "MEMBER"
    avatar: str | None = None
    limited_by: tuple[str, ...] = ()
    plan: str = "pro"
    creator_id: str | None = None
    updated_at: int = 0
    staging_prefix: str = "projects"
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def as_json(self) -> Object:
        """Give the team as the API shows it: whole, or as far as the caller may see it."""
        shown: Object = {
            "id": self.id,
            "slug": self.slug,
            "name": self.name,
            "avatar": self.avatar,
            "createdAt": self.created_at,
            "membership": {
                "uid": self.user_id,
                "teamId": self.id,
                "role": self.role,
                "confirmed": True,
                "created": self.created_at,
                "createdAt": self.created_at,
            },
        }
        if self.limited_by:
            return shown | {"limited": True, "limitedBy": list(self.limited_by), **self.more}
        return shown | {
            "creatorId": self.creator_id or self.user_id,
            "updatedAt": self.updated_at,
            "description": None,
            "stagingPrefix": self.staging_prefix,
            "billing": {"plan": self.plan},
            **self.more,
        }


def new_team_id(random: Random) -> str:
    """Make a team's id."""
    return "team_" + new_secret(random)


def seed_teams(random: Random, now_ms: int, user_id: str) -> list[Team]:
    """Make the teams of the seeded account; the first is in full form and the default team."""
    more = Random(user_id)  # noqa: S311 (so that what is made afterwards stays what it was)

    def days_ago(days: int, random: Random = more) -> int:
        return now_ms - days * _DAY_MS - random.randrange(_DAY_MS)

    described: tuple[tuple[str, str | None, str, dict[str, Any]], ...] = (
        (
            "acme",
            "Acme",
            "OWNER",
            {
                "plan": "enterprise",
                "more": {
                    "description": "What Acme ships",
                    "saml": {"enforced": True},
                    "personalAccessTokensInvalidatedAt": days_ago(300),
                },
            },
        ),
        (
            "bright-labs",
            "Bright Labs",
            "MEMBER",
            {
                "more": {
                    "saml": {"enforced": False},
                    "appTokensInvalidatedAt": days_ago(90),
                    "integrationTokensInvalidatedAt": days_ago(90),
                    "apiKeysInvalidatedAt": days_ago(45),
                }
            },
        ),
        ("night-shift", None, "DEVELOPER", {"plan": "hobby"}),
        (
            "northwind",
            "Northwind Traders",
            "VIEWER",
            {"limited_by": ("invalidated",), "more": {"saml": {"enforced": True}}},
        ),
        ("umbra", None, "MEMBER", {"limited_by": ("mfa", "scope")}),
    )
    return [
        Team(
            id=new_team_id(random),
            slug=slug,
            name=name,
            created_at=days_ago(1400 - 211 * number, random),
            user_id=user_id,
            role=role,
            updated_at=days_ago(12 + number),
            staging_prefix=slug,
            creator_id=user_id if role == "OWNER" else new_secret(more),
            avatar=random.randbytes(20).hex() if name and "limited_by" not in given else None,
            **given,
        )
        for number, (slug, name, role, given) in enumerate(described)
    ]
