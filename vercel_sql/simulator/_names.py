"""Names that people and machines give their tokens."""

from random import Random

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
