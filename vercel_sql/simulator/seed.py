"""A realistic account, made from a seed number: the user, the teams, the tokens."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from vercel_sql.simulator.messages import Object
from vercel_sql.simulator.models import DAY_MS, Team, Token, hints, new_bearer, new_secret

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
_PROVIDERS = ("GitHub", "GitLab", "Bitbucket", "Google", "Email", "SAML", "Passkey")
_BROWSERS = ("Chrome", "Firefox", "Safari", "Edge")
_SYSTEMS = ("macOS", "Windows", "Linux", "iOS", "Android")
_COMMON = ("vercel-cli", "test", "my token", "CI", "deploy", "token", "tmp")


def _name(random: Random) -> str:
    """Make a name; the common ones come again and again, as they do in real accounts."""
    return (
        lambda: random.choice(_COMMON),
        lambda: f"{random.choice(_PEOPLE)}'s {random.choice(_MACHINES)}",
        lambda: f"{random.choice(_PIPELINES)} \N{EN DASH} {random.choice(_PROJECTS)}",
        lambda: f"{random.choice(_PROJECTS)}-{random.choice(_STAGES)}",
        lambda: f"{random.choice(_PIPELINES)} ({random.choice(_STAGES)}) {random.randrange(100)}",
    )[random.randrange(5)]()


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
            id="team_" + new_secret(random),
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


class _Draft:
    """A token in the making: an everyday one, to which a trait is then given."""

    def __init__(self, random: Random, now_ms: int, teams: Sequence[Team], created_at: int) -> None:
        self.random = random
        self.now_ms = now_ms
        self.teams = teams
        self.created_at = created_at
        self.origin = random.choices(_ORIGINS, _ORIGIN_WEIGHTS)[0]
        self.fields: Object = {
            "id": random.randbytes(32).hex(),
            "name": _name(random),
            "type": random.choices(_TYPES, (90, 10))[0],
            "origin": self.origin,
            "scopes": [{"type": "user", "origin": self.origin, "createdAt": created_at}],
            "activeAt": self.between(created_at, now_ms),
            "createdAt": created_at,
        }

    def between(self, start_ms: int, end_ms: int) -> int:
        return self.random.randrange(start_ms, max(start_ms, end_ms) + 1)

    def team_scope(self) -> Object:
        id_ = self.random.choice(self.teams).id
        return {"type": "team", "teamId": id_, "origin": self.origin, "createdAt": self.created_at}

    def end(self, name: str, at_ms: int) -> None:
        self.fields[name] = at_ms
        self.fields["activeAt"] = min(self.fields["activeAt"], at_ms)

    def expire(self, at_ms: int) -> None:
        self.end("expiresAt", at_ms)
        for scope in self.fields["scopes"]:
            scope["expiresAt"] = at_ms

    def expire_in_days(self, first: int, last: int) -> None:
        self.expire(self.now_ms + self.random.randrange(first * DAY_MS, last * DAY_MS))

    def sudo(self, active_at: int, **times: int) -> None:
        self.fields["activeAt"] = active_at
        origin = self.random.choice(_SUDO_ORIGINS)
        self.fields["scopes"][0]["sudo"] = {"origin": origin, **times}

    def sudo_that_is_over(self) -> None:
        active_at = self.fields["activeAt"]
        verified_at = self.between(self.created_at, active_at)
        expires_at = min(verified_at + 3_600_000, self.now_ms - 1)
        self.sudo(active_at, verifiedAt=verified_at, expiresAt=expires_at)

    def leak(self) -> None:
        commit = self.random.randbytes(20).hex()
        self.fields["leakedAt"] = self.between(self.created_at, self.now_ms)
        self.fields["leakedUrl"] = f"https://github.com/example/app/blob/{commit}/.env"

    def leak_and_revoke(self) -> None:
        self.leak()
        self.end("revokedAt", self.between(self.fields["leakedAt"], self.now_ms))

    def sign_in(self) -> None:
        """Make it a browser session: a person who is signed in, and may have forgotten it."""
        provider = self.random.choice(_PROVIDERS)
        browser, system = self.random.choice(_BROWSERS), self.random.choice(_SYSTEMS)
        name = f"Website, Login with {provider} ({browser} on {system})"
        self.fields |= {"name": name, "type": _SESSION_TYPE, "origin": provider.lower()}
        self.fields["scopes"][0]["origin"] = provider.lower()

    def token(self) -> Token:
        is_newer = self.created_at > self.now_ms - _MARKED_SINCE_DAYS * DAY_MS
        is_marked = is_newer and self.fields["type"] != _SESSION_TYPE
        bearer = new_bearer(self.random, "vcp_" if is_marked else "")
        return Token(self.fields | hints(bearer), bearer=bearer, created_at=self.created_at)


_EVERYDAY = "everyday"

_TRAITS: dict[str, tuple[int, Callable[[_Draft], object]]] = {
    _EVERYDAY: (46, lambda d: d.expire_in_days(20, 365) if d.random.random() < 0.5 else None),
    "never used": (10, lambda d: d.fields.update(activeAt=d.created_at)),
    "expired": (10, lambda d: d.expire(d.between(d.created_at, d.now_ms - 1))),
    "expiring soon": (5, lambda d: d.expire_in_days(1, 14)),
    "without origin": (4, lambda d: d.fields.pop("origin")),
    "team only": (8, lambda d: d.fields.update(scopes=[d.team_scope()])),
    "user and team": (6, lambda d: d.fields["scopes"].append(d.team_scope())),
    "sudo that is over": (5, _Draft.sudo_that_is_over),
    "live sudo": (1, lambda d: d.sudo(d.now_ms, expiresAt=d.now_ms + DAY_MS)),
    "leaked": (2, _Draft.leak),
    "leaked and revoked": (1, _Draft.leak_and_revoke),
    "revoked": (2, lambda d: d.end("revokedAt", d.between(d.fields["activeAt"], d.now_ms))),
}
"""How many of a hundred tokens are like this, and what is special about them."""


def seed_tokens(random: Random, now_ms: int, teams: Sequence[Team], count: int) -> list[Token]:
    """Make `count` tokens: every trait at least once where there is room for all."""
    weights = [weight for weight, _ in _TRAITS.values()]
    traits = [*_TRAITS, *random.choices(list(_TRAITS), weights, k=count)][:count]
    random.shuffle(traits)
    drafts = []
    for trait, created_at in zip(traits, _moments(random, now_ms, count), strict=True):
        draft = _Draft(random, now_ms, teams, created_at)
        _TRAITS[trait][1](draft)
        drafts.append(draft)
    if count >= 2 * len(AWKWARD):
        for name, draft in zip(AWKWARD, random.sample(drafts, len(AWKWARD)), strict=True):
            draft.fields["name"] = name
    everyday = [d for trait, d in zip(traits, drafts, strict=True) if trait == _EVERYDAY]
    ordinary = [draft for draft in everyday if draft.fields["name"] not in AWKWARD]
    for draft in ordinary[: count // _TOKENS_PER_SESSION]:
        draft.sign_in()
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
