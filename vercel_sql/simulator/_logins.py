"""Logins by email that wait for the person to confirm them."""

from dataclasses import dataclass
from random import Random

from vercel_sql.simulator._tokens import new_secret

_ADJECTIVES = ("Practical", "Quiet", "Amber", "Brave", "Gentle", "Lucky", "Silver", "Swift")
_ANIMALS = ("Saola", "Otter", "Heron", "Lynx", "Marmot", "Narwhal", "Puffin", "Tapir")


@dataclass
class Login:
    """One login: the token that verifies it, and the code that the person compares."""

    token: str
    email: str
    token_name: str | None
    security_code: str
    confirmed: bool = False


class Logins:
    """The logins that were asked for and not yet turned into an authentication token."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._pending: dict[str, Login] = {}

    def request(self, email: str, token_name: str | None) -> Login:
        """Begin a login, as if an email had been sent."""
        code = f"{self._random.choice(_ADJECTIVES)} {self._random.choice(_ANIMALS)}"
        login = Login(new_secret(self._random), email, token_name, code)
        self._pending[login.token] = login
        return login

    def get(self, token: str) -> Login | None:
        """Find the login of a verification token."""
        return self._pending.get(token)

    def finish(self, login: Login) -> None:
        """Forget a login, since a verification token works once."""
        del self._pending[login.token]

    def confirm(self, *, email: str | None = None, token: str | None = None) -> int:
        """Confirm what waits for an email address or under a token; give how many did."""
        chosen = [
            login
            for login in self._pending.values()
            if not login.confirmed and (login.token == token or login.email == email)
        ]
        for login in chosen:
            login.confirmed = True
        return len(chosen)
