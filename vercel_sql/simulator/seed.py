"""A realistic account, made from a seed number: the user, the teams, the tokens."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from vercel_sql.simulator.messages import Object
from vercel_sql.simulator.models import DAY_MS, Team, Token, hints, new_bearer, new_id, new_secret

AWKWARD = (
    '"deploy" (Ana\'s laptop)',
    '=HYPERLINK("http://localhost","open")',
    "東京オフィス CI",
    "déploiement-préprod",
    "🚀 release train",
    "O'Brien; DROP TABLE tokens; --",
    "comma, separated, name",
    "  spaces around  ",
    "NULL",
    "مفتاح النشر",
)
"""Names that break careless quoting, escaping and spreadsheets."""

_PEOPLE = (
    "Ana", "Bjørn", "Chidi", "Daria", "Émile", "Fatima", "Grace", "Hiro", "Ines", "Jonas",
    "Kavya", "Liam", "Małgorzata", "Noor", "Oskar", "Priya", "Quentin", "Rosa", "Søren", "Tomás",
)  # fmt: skip
_MACHINES = ("MacBook Pro", "laptop", "desktop", "ThinkPad", "iPad", "work machine")
_PIPELINES = ("GitHub Actions", "GitLab CI", "CircleCI", "Jenkins", "Buildkite", "Terraform")
_PROJECTS = ("web", "docs", "shop", "api", "storybook", "landing", "admin", "blog")
_STAGES = ("prod", "staging", "preview", "dev")
_SIGN_INS = {
    "GitHub": "github",
    "GitLab": "gitlab",
    "Bitbucket": "bitbucket",
    "Google": "google",
    "Email": "email",
    "SAML": "saml",
    "Passkey": "passkey",
}
_BROWSERS = ("Chrome", "Firefox", "Safari", "Edge")
_SYSTEMS = ("macOS", "Windows", "Linux", "iOS", "Android")
_COMMON = ("vercel-cli", "test", "my token", "CI", "deploy", "token", "tmp")


def new_name(random: Random) -> str:
    """Make a name; the common ones come again and again, as they do in real accounts."""
    kind = random.randrange(5)
    if kind == 0:
        return random.choice(_COMMON)
    if kind == 1:
        return f"{random.choice(_PEOPLE)}'s {random.choice(_MACHINES)}"
    if kind == 2:
        return f"{random.choice(_PIPELINES)} \N{EN DASH} {random.choice(_PROJECTS)}"
    if kind == 3:
        return f"{random.choice(_PROJECTS)}-{random.choice(_STAGES)}"
    return f"{random.choice(_PIPELINES)} ({random.choice(_STAGES)}) {random.randrange(100)}"


def new_session(random: Random) -> tuple[str, str]:
    """Make the name that Vercel gives a browser session, and the origin of its sign-in."""
    provider, origin = random.choice(list(_SIGN_INS.items()))
    browser, system = random.choice(_BROWSERS), random.choice(_SYSTEMS)
    return f"Website, Login with {provider} ({browser} on {system})", origin


_ADJECTIVES = ("Practical", "Quiet", "Amber", "Brave", "Gentle", "Lucky", "Silver", "Swift")
_ANIMALS = ("Saola", "Otter", "Heron", "Lynx", "Marmot", "Narwhal", "Puffin", "Tapir")


def seed_user(random: Random, now_ms: int) -> Object:
    """Make a full account as `/v2/user` shows it; the default team is set by its owner."""
    return {
        "id": new_secret(random),
        "email": "ada@example.com",
        "name": "Ada Example",
        "username": "ada-example",
        "avatar": random.randbytes(20).hex(),
        "defaultTeamId": None,
        "createdAt": now_ms - 1500 * DAY_MS - random.randrange(DAY_MS),
        "softBlock": None,
        "billing": None,
        "resourceConfig": {"concurrentBuilds": 1, "nodeType": "enhanced"},
        "stagingPrefix": "ada-example",
        "hasTrialAvailable": False,
    }


def new_team_id(random: Random) -> str:
    """Make a team's id."""
    return "team_" + new_secret(random)


def seed_teams(random: Random, now_ms: int, user_id: str) -> list[Team]:
    """Make the teams of the seeded account; the first is in full form and the default team."""
    more = Random(user_id)  # noqa: S311 (so that what is made afterwards stays what it was)

    def days_ago(days: int, random: Random = more) -> int:
        return now_ms - days * DAY_MS - random.randrange(DAY_MS)

    acme = {
        "description": "What Acme ships",
        "saml": {"enforced": True},
        "personalAccessTokensInvalidatedAt": days_ago(300),
    }
    bright_labs = {
        "saml": {"enforced": False},
        "appTokensInvalidatedAt": days_ago(90),
        "integrationTokensInvalidatedAt": days_ago(90),
        "apiKeysInvalidatedAt": days_ago(45),
    }
    northwind = {"limited_by": ("invalidated",), "more": {"saml": {"enforced": True}}}
    described: tuple[tuple[str, str | None, str, dict[str, Any]], ...] = (
        ("acme", "Acme", "OWNER", {"plan": "enterprise", "more": acme}),
        ("bright-labs", "Bright Labs", "MEMBER", {"more": bright_labs}),
        ("night-shift", None, "DEVELOPER", {"plan": "hobby"}),
        ("northwind", "Northwind Traders", "VIEWER", northwind),
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


def new_security_code(random: Random) -> str:
    """Make the code that a person compares who logs in by email."""
    return f"{random.choice(_ADJECTIVES)} {random.choice(_ANIMALS)}"


# Tokens

_OLDEST_DAYS = 4 * 365
_MARKED_SINCE_DAYS = 540
"""Tokens older than this come from before bearers began with a marker and showed hints."""

_TYPES = ("oauth2-token", "authentication-token")
_SESSION_TYPE = "token"
_TOKENS_PER_SESSION = 12
_ORIGINS = (
    "github", "gitlab", "bitbucket", "google", "email", "saml", "manual", "passkey", "otp", "app",
    "apple", "chatgpt", "emu", "github-webhook", "invite", "sms", "token-exchange-oidc",
)  # fmt: skip
_ORIGIN_WEIGHTS = (30, 8, 5, 10, 15, 8, 15, 4, 3, 4, 2, 1, 1, 1, 1, 1, 2)
_SUDO_ORIGINS = ("totp", "webauthn", "otp", "email-otp", "recovery-code")

Trait = Callable[["Draft"], None]


class Draft:
    """A token in the making: an everyday one, to which a trait is then given."""

    def __init__(self, random: Random, now_ms: int, teams: Sequence[Team], created_at: int) -> None:
        self.random = random
        self.now_ms = now_ms
        self.teams = teams
        self.created_at = created_at
        self.origin = random.choices(_ORIGINS, _ORIGIN_WEIGHTS)[0]
        self.fields: Object = {
            "id": new_id(random),
            "name": new_name(random),
            "type": random.choices(_TYPES, (90, 10))[0],
            "origin": self.origin,
            "scopes": [self.user_scope()],
            "activeAt": self.between(created_at, now_ms),
            "createdAt": created_at,
        }

    def between(self, start_ms: int, end_ms: int) -> int:
        """Give some moment after `start_ms` and before `end_ms`."""
        return self.random.randrange(start_ms, max(start_ms, end_ms) + 1)

    def user_scope(self) -> Object:
        """Make the scope that speaks for the user."""
        return {"type": "user", "origin": self.origin, "createdAt": self.created_at}

    def team_scope(self) -> Object:
        """Make the scope that speaks for one of the teams."""
        return {
            "type": "team",
            "teamId": self.random.choice(self.teams).id,
            "origin": self.origin,
            "createdAt": self.created_at,
        }

    def expire(self, at_ms: int) -> None:
        """Let the token and all its scopes expire, and be used no later than that."""
        self.fields["expiresAt"] = at_ms
        self.fields["activeAt"] = min(self.fields["activeAt"], at_ms)
        for scope in self.fields["scopes"]:
            scope["expiresAt"] = at_ms

    def token(self) -> Token:
        """Give the finished token with its bearer."""
        is_newer = self.created_at > self.now_ms - _MARKED_SINCE_DAYS * DAY_MS
        is_marked = is_newer and self.fields["type"] != _SESSION_TYPE
        bearer = new_bearer(self.random, "vcp_" if is_marked else "")
        return Token(self.fields | hints(bearer), bearer=bearer, created_at=self.created_at)


def _everyday(draft: Draft) -> None:
    """Half of the tokens expire some day, half never do."""
    if draft.random.random() < 0.5:
        draft.expire(draft.now_ms + draft.random.randrange(20 * DAY_MS, 365 * DAY_MS))


def _never_used(draft: Draft) -> None:
    draft.fields["activeAt"] = draft.created_at


def _expired(draft: Draft) -> None:
    draft.expire(draft.between(draft.created_at, draft.now_ms - 1))


def _expiring_soon(draft: Draft) -> None:
    draft.expire(draft.now_ms + draft.random.randrange(DAY_MS, 14 * DAY_MS))


def _without_origin(draft: Draft) -> None:
    del draft.fields["origin"]


def _team_only(draft: Draft) -> None:
    draft.fields["scopes"] = [draft.team_scope()]


def _user_and_team(draft: Draft) -> None:
    draft.fields["scopes"].append(draft.team_scope())


def _sudo(draft: Draft) -> None:
    """Sudo that is over, as it nearly always is."""
    verified_at = draft.between(draft.created_at, draft.fields["activeAt"])
    draft.fields["scopes"][0]["sudo"] = {
        "origin": draft.random.choice(_SUDO_ORIGINS),
        "verifiedAt": verified_at,
        "expiresAt": min(verified_at + 3_600_000, draft.now_ms - 1),
    }


def _live_sudo(draft: Draft) -> None:
    draft.fields["activeAt"] = draft.now_ms
    draft.fields["scopes"][0]["sudo"] = {
        "origin": draft.random.choice(_SUDO_ORIGINS),
        "expiresAt": draft.now_ms + DAY_MS,
    }


def _leaked(draft: Draft) -> None:
    commit = draft.random.randbytes(20).hex()
    draft.fields["leakedAt"] = draft.between(draft.created_at, draft.now_ms)
    draft.fields["leakedUrl"] = f"https://github.com/example/app/blob/{commit}/.env"


def _leaked_and_revoked(draft: Draft) -> None:
    _leaked(draft)
    draft.fields["revokedAt"] = draft.between(draft.fields["leakedAt"], draft.now_ms)
    draft.fields["activeAt"] = min(draft.fields["activeAt"], draft.fields["revokedAt"])


def _revoked(draft: Draft) -> None:
    draft.fields["revokedAt"] = draft.between(draft.fields["activeAt"], draft.now_ms)


def _sign_in(draft: Draft) -> None:
    """Make it a browser session: a person who is signed in, and may have forgotten it."""
    name, origin = new_session(draft.random)
    draft.fields |= {"name": name, "type": _SESSION_TYPE, "origin": origin}
    draft.fields["scopes"][0]["origin"] = origin


TRAITS: dict[Trait, int] = {
    _everyday: 46,
    _never_used: 10,
    _expired: 10,
    _expiring_soon: 5,
    _without_origin: 4,
    _team_only: 8,
    _user_and_team: 6,
    _sudo: 5,
    _live_sudo: 1,
    _leaked: 2,
    _leaked_and_revoked: 1,
    _revoked: 2,
}
"""What tokens are like, and how many of a hundred are."""


def seed_tokens(random: Random, now_ms: int, teams: Sequence[Team], count: int) -> list[Token]:
    """Make `count` tokens: every trait at least once where there is room for all."""
    traits = [*TRAITS, *random.choices(list(TRAITS), list(TRAITS.values()), k=count)][:count]
    random.shuffle(traits)
    drafts = []
    for trait, created_at in zip(traits, _moments(random, now_ms, count), strict=True):
        draft = Draft(random, now_ms, teams, created_at)
        trait(draft)
        drafts.append(draft)
    if count >= 2 * len(AWKWARD):
        for name, draft in zip(AWKWARD, random.sample(drafts, len(AWKWARD)), strict=True):
            draft.fields["name"] = name
    everyday = [d for trait, d in zip(traits, drafts, strict=True) if trait is _everyday]
    ordinary = [draft for draft in everyday if draft.fields["name"] not in AWKWARD]
    for draft in ordinary[: count // _TOKENS_PER_SESSION]:
        _sign_in(draft)
    return [draft.token() for draft in drafts]


def _moments(random: Random, now_ms: int, count: int) -> list[int]:
    """Choose when the tokens were created: more of late, and some by scripts, at one moment."""
    moments: list[int] = []
    while len(moments) < count:
        age = _OLDEST_DAYS * DAY_MS * random.random() ** 1.6
        together = random.randint(2, 8) if random.random() < 0.04 else 1
        moments += [now_ms - DAY_MS // 24 - int(age)] * together
    moments = moments[:count]
    if count >= 200:  # more than a default page of 20 at one moment
        moments[:25] = [moments[0]] * 25
    elif count >= 10:
        moments[:3] = [moments[0]] * 3
    return moments
