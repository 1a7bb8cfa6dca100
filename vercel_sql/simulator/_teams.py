"""The account's teams, in full and in limited form."""

from dataclasses import dataclass, field
from random import Random

from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import new_secret

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Team:
    """A team that the user belongs to; `limited_by` says what keeps it from the caller."""

    id: str
    slug: str
    name: str | None
    created_at: int
    user_id: str
    role: str = "MEMBER"
    avatar: str | None = None
    limited_by: tuple[str, ...] = field(default=())

    def as_json(self) -> Object:
        """Give the team as the API shows it."""
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
                "confirmedAt": self.created_at,
                "createdAt": self.created_at,
            },
        }
        if self.limited_by:
            shown |= {"limited": True, "limitedBy": list(self.limited_by)}
        return shown


def new_team_id(random: Random) -> str:
    """Make a team's id."""
    return "team_" + new_secret(random)


def seed_teams(random: Random, now_ms: int, user_id: str) -> list[Team]:
    """Make the teams of the seeded account; the first is in full form and the default team."""
    described: tuple[tuple[str, str | None, str, tuple[str, ...]], ...] = (
        ("acme", "Acme", "OWNER", ()),
        ("bright-labs", "Bright Labs", "MEMBER", ()),
        ("night-shift", None, "DEVELOPER", ()),
        ("northwind", "Northwind Traders", "VIEWER", ("saml",)),
        ("umbra", None, "MEMBER", ("mfa", "scope")),
    )
    return [
        Team(
            id=new_team_id(random),
            slug=slug,
            name=name,
            created_at=now_ms - (1400 - 211 * number) * _DAY_MS - random.randrange(_DAY_MS),
            user_id=user_id,
            role=role,
            avatar=random.randbytes(20).hex() if name and not limited_by else None,
            limited_by=limited_by,
        )
        for number, (slug, name, role, limited_by) in enumerate(described)
    ]
