"""Where integrations are installed, and what their access tokens may therefore do."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from random import Random

from vercel_sql.simulator._errors import ApiError
from vercel_sql.simulator._json import Object
from vercel_sql.simulator._tokens import Token, new_secret


@dataclass
class Installation:
    """One configuration of an integration; `team_id` is None on a personal account."""

    id: str
    client_id: str
    user_id: str
    team_id: str | None
    disabled: bool = False

    def as_json(self) -> Object:
        """Give it as `GET /_simulator/configurations` shows it."""
        return asdict(self)


class Installations:
    """All configurations, and which tokens are theirs; to be used under the state's lock."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._installations: dict[str, Installation] = {}
        self._of_token: dict[str, Installation] = {}

    def __iter__(self) -> Iterator[Installation]:
        return iter(list(self._installations.values()))

    def add(self, client_id: str, user_id: str, team_id: str | None) -> Installation:
        """Install an integration."""
        id_ = "icfg_" + new_secret(self._random)
        installation = Installation(id_, client_id, user_id, team_id)
        self._installations[id_] = installation
        return installation

    def get(self, id_: str) -> Installation:
        """Give the configuration of an id.

        Raises:
            LookupError: There is none.
        """
        if id_ not in self._installations:
            raise LookupError(f"No configuration has the id {id_!r}")
        return self._installations[id_]

    def bind(self, token: Token, installation: Installation) -> None:
        """Note that a token speaks for a configuration."""
        self._of_token[token.id] = installation

    def of(self, token: Token) -> Installation | None:
        """Find the configuration that a token speaks for."""
        return self._of_token.get(token.id)

    def admit(self, token: Token, team_ids: Sequence[str]) -> None:
        """Let a call with a token pass, if it is for the account of the token's configuration.

        Raises:
            ApiError: The configuration is disabled, or the call is for another account (403).
        """
        installation = self.of(token)
        if installation is None:
            return
        if installation.disabled:
            raise ApiError(
                403,
                "The integration configuration is disabled",
                code="integration_configuration_disabled",
            )
        expected = [] if installation.team_id is None else [installation.team_id]
        if list(team_ids) != expected:
            raise ApiError(403)
