"""Whoever runs rotations, as tests watch them: is there always a secret at hand that works?"""

import json
import os
import threading
from pathlib import Path


class Operator:
    """Whoever runs the rotations: what secrets they have at any moment, and what is revoked then.

    Attributes:
        lost: the ids of tokens that were revoked while nobody had another secret that worked.
        revoked: how many were revoked.
    """

    def __init__(self, sim):
        self._sim = sim
        self._file = Path(os.environ["VERCEL_SQL_STATE_DIR"]) / "secrets.jsonl"
        self._read = 0
        self._secrets = [sim.token]
        self._lock = threading.Lock()
        self._remove = sim.state.remove_token
        self.lost = []
        self.revoked = 0
        # At all other moments there are only more tokens than before, and more secrets at hand.
        sim.state.remove_token = self._removing

    def secrets(self):
        """The secrets at hand now: the first one, and what is in the file."""
        if self._file.exists():
            with self._file.open() as file:
                file.seek(self._read)
                self._secrets += [json.loads(line)["bearerToken"] for line in file]
                self._read = file.tell()
        return self._secrets

    def working(self):
        """The tokens that work now, and whose secret is at hand."""
        held, now_ms = set(self.secrets()), self._sim.state.clock.now_ms()
        tokens = self._sim.state.tokens()
        return [token for token in tokens if token.bearer in held and token.is_alive(now_ms)]

    def tidy(self, kept):
        """Revokes what was left over, so that the next rotation has nothing to fall back on."""
        for token in self._sim.state.tokens():
            if token.bearer != kept:
                self._remove(token)

    def _removing(self, token):
        with self._lock:
            self._remove(token)
            self.revoked += 1
            if not self.working():
                self.lost.append(token.id)
