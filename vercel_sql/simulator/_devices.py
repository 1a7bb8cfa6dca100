"""Devices without a browser that wait until a person signs them in with one (RFC 8628)."""

from dataclasses import dataclass

from vercel_sql.simulator._oauth_clients import OAuthClient
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import new_secret

_LIFETIME_MS = 600_000
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, as RFC 8628 suggests: no words


@dataclass
class DeviceRequest:
    """A device that waits for a person; `approved` is None until there is an answer.

    Times are in milliseconds of the account's clock.
    """

    device_code: str
    user_code: str
    client: OAuthClient
    scopes: tuple[str, ...]
    expires_at: int
    interval_ms: int
    approved: bool | None = None
    polled_at: int | None = None
    used: bool = False

    def waits(self, now_ms: int) -> bool:
        """Whether a person can still answer."""
        return self.approved is None and now_ms < self.expires_at

    def polls_too_fast(self, now_ms: int) -> bool:
        """Note a poll; say whether it came too early, which makes the interval longer."""
        early = self.polled_at is not None and now_ms < self.polled_at + self.interval_ms
        self.polled_at = now_ms
        if early:
            self.interval_ms += 5000  # RFC 8628, section 3.5
        return early


class Devices:
    """The devices that asked to be signed in; safe to use from any thread.

    `interval_seconds` is how often a device may ask; tests that wait for real make it shorter
    than the five seconds of RFC 8628.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._devices: dict[str, DeviceRequest] = {}
        self._pages: dict[str, DeviceRequest] = {}
        self.interval_seconds: float = 5

    def add(self, client: OAuthClient, scopes: tuple[str, ...]) -> DeviceRequest:
        """Begin to wait for a person on behalf of a device."""
        with self._state.lock:
            letters = "".join(self._state.random.choices(_LETTERS, k=8))
            device = DeviceRequest(
                device_code=new_secret(self._state.random, 40),
                user_code=f"{letters[:4]}-{letters[4:]}",
                client=client,
                scopes=scopes,
                expires_at=self._state.clock.now_ms() + _LIFETIME_MS,
                interval_ms=int(self.interval_seconds * 1000),
            )
            self._devices[device.device_code] = device
            return device

    def find(self, device_code: str) -> DeviceRequest | None:
        """Find a device by what it alone knows."""
        with self._state.lock:
            return self._devices.get(device_code)

    def waiting(self, user_code: str | None = None) -> list[DeviceRequest]:
        """Find the device that waits with a user code, or all that wait."""
        with self._state.lock:
            now_ms = self._state.clock.now_ms()
            return [
                device
                for device in self._devices.values()
                if device.waits(now_ms)
                and (user_code is None or _plain(device.user_code) == _plain(user_code))
            ]

    def ask(self, device: DeviceRequest) -> str:
        """Begin to ask a person about a device; give the id of the page, which nobody can guess."""
        with self._state.lock:
            page_id = new_secret(self._state.random, 32)
            self._pages[page_id] = device
            return page_id

    def answer_page(self, page_id: str, *, approve: bool) -> None:
        """Take a person's answer on a page, once.

        Raises:
            LookupError: No page of that id waits for an answer.
        """
        with self._state.lock:
            device = self._pages.pop(page_id, None)
            if device is None or not device.waits(self._state.clock.now_ms()):
                raise LookupError("This page was answered already, or is too old. Start again.")
            device.approved = approve

    def answer(self, user_code: str | None, *, approve: bool) -> int:
        """Take a person's answer; give how many devices it was for.

        Raises:
            LookupError: None waits for it.
        """
        with self._state.lock:
            waiting = self.waiting(user_code)
            for device in waiting:
                device.approved = approve
        if not waiting:
            raise LookupError("No device waits for that code. Codes expire, and work once.")
        return len(waiting)


def _plain(user_code: str) -> str:
    """Read a user code however a person types it."""
    return "".join(letter for letter in user_code.upper() if letter.isalnum())
