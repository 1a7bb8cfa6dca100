"""One account, one operator, one fault: what the operator is told, and what the server did."""

from __future__ import annotations

import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import vercel_sql
from vercel_sql.cli.main import main
from vercel_sql.simulator import Simulator

from .faults import Fault

EMAIL = "ada@example.com"
_LONGEST = 800


class World:
    """An account of 250 tokens, and an operator whose files are in a folder of their own."""

    def __init__(self, sim: Simulator, folder: Path) -> None:
        self.sim = sim
        self.ids = [
            str(token.id) for token in sim.state.tokens() if token is not sim.state.calling_token
        ]
        self._folder = folder
        self._secrets = folder / "secrets.jsonl"
        self._errors: list[vercel_sql.Error] = []
        self._connection = vercel_sql.connect(
            sim.token,
            api_url=sim.url,
            oauth_url=sim.url,
            secrets_file=self._secrets,
            attempts=2,
            max_wait=2,
            request_timeout=2.0,
            parallel_deletes=1,  # so that each run tells the same
        )

    @contextmanager
    def befallen(self, fault: Fault, method: str, path: str, after: int) -> Iterator[None]:
        """Lets the fault happen while the context lasts."""
        if fault.options:
            times = 1 if fault.once else None
            self.sim.faults(
                **{"method": method, "path": path, "after": after, "times": times, **fault.options}
            )
        if fault.dead:
            self.sim.pause()
        try:
            yield
        finally:
            if fault.dead:
                self.sim.resume()
            self.sim.clear_faults()

    def close(self) -> None:
        self._connection.close()

    # What the operator does

    def told(self, statement: str, show: Callable[[Any], str] | None = None) -> str:
        """Runs a statement and gives what comes of it, for the reader of the table."""
        try:
            cursor = self._connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        except vercel_sql.Error as error:
            self._errors.append(error)
            return f"{type(error).__name__}: {_plain(str(error))}"
        if show is None:
            return "done" if rows or cursor.rowcount > 0 else "nothing changed"
        return show(rows[0]) if rows else "no row"

    def login(self) -> str:
        """Logs in by email, with somebody who confirms at once."""
        stop = threading.Event()
        thread = threading.Thread(target=self._confirm, args=(stop,))
        thread.start()
        try:
            arguments = ["login", "--email", EMAIL, "--timeout", "4", "--request-timeout", "2"]
            code, _, err = self._command(*arguments)
        finally:
            stop.set()
            thread.join()
        return "logged in" if code == 0 else _plain(err.strip().splitlines()[-1])

    def recovered(self) -> str:
        """What `vercel-sql recover` says, once the operator's program has ended."""
        self.close()
        _, out, err = self._command("recover", "-o", "json")
        return out + err

    # What the server really did

    def account_for_created(self) -> str:
        """Finds each token that the server made: on disk, or named."""
        made = [e for e in self.sim.history() if e.event == "created" and e.request is not None]
        names = [event.name for event in made]
        assert len(names) == len(set(names)), f"made twice: {names}"
        saved = self._saved_bearers()
        on_disk = [event for event in made if event.bearer in saved]
        left = [event for event in made if event.bearer not in saved]
        named = [event for event in left if event.id in self._orphans()]
        left = [event for event in left if event not in named]
        recovered = [event for event in left if event.id in self.recovered()] if left else []
        lost = [event for event in left if event not in recovered]
        assert not lost, f"lost: {lost}"
        return _counts(made=made, on_disk=on_disk, named=named, recovered=recovered)

    def account_for_deleted(self) -> str:
        """Compares what is gone at the server with what the operator was told is gone."""
        gone = {event.id for event in self.sim.history() if event.event == "removed"}
        removed = [r for r in self.sim.requests() if r.method == "DELETE"]
        assert gone <= {r.path.rpartition("/")[2] for r in removed}
        return f"{len(gone)} gone" if gone else "none gone"

    def saved_logins(self) -> list[Path]:
        """The files of saved logins."""
        config = self._folder / "config"
        return [
            each for each in config.rglob("*") if each.is_file() and "token" in each.read_text()
        ]

    def _saved_bearers(self) -> set[str]:
        lines = self._secrets.read_text().splitlines() if self._secrets.exists() else []
        bearers = {json.loads(line)["bearerToken"] for line in lines}
        working = {token.bearer for token in self.sim.state.tokens()}
        assert bearers <= working, "a saved secret does not authenticate"
        return bearers

    def _orphans(self) -> set[str]:
        found: set[str] = set()
        for error in self._errors:
            cause = getattr(error, "cause", None)
            for each in (error, cause):
                if isinstance(each, vercel_sql.errors.UnknownOutcomeError):
                    found |= {orphan for orphan in each.orphans if orphan in str(error)}
        return found

    def _confirm(self, stop: threading.Event) -> None:
        while not stop.wait(0.005):
            with suppress(LookupError):
                self.sim.confirm(email=EMAIL)

    def _command(self, *arguments: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        environment = {
            "VERCEL_TOKEN": "" if arguments[0] == "login" else self.sim.token,
            "VERCEL_API_URL": self.sim.url,
            "VERCEL_OAUTH_URL": self.sim.url,
            "VERCEL_SQL_CONFIG_DIR": str(self._folder / "config"),
        }
        with mock.patch.dict(os.environ, environment), redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(arguments)
            except SystemExit as ended:
                raise AssertionError(err.getvalue()) from ended
        return code, out.getvalue(), err.getvalue()


def _counts(**events: list[Any]) -> str:
    made = len(events.pop("made"))
    words = {"on_disk": "on disk", "named": "named as an orphan", "recovered": "named by recover"}
    parts = [f"{len(found)} {words[name]}" for name, found in events.items() if found]
    return f"{made} made: {', '.join(parts)}" if made else "none made"


def _plain(text: str) -> str:
    """An error without what differs from run to run."""
    for pattern, instead in (
        (r"http://127\.0\.0\.1:\d+", "https://api.vercel.com"),
        (r"127\.0\.0\.1:\d+", "api.vercel.com"),
        (r"/[^\s']*/secrets\.jsonl", "secrets.jsonl"),
        (r"received \d+ bytes, expected \d+", "received fewer bytes than expected"),
        (r"\b[0-9a-f]{64}\b", "(id)"),
        (r"only in \d+ minutes( \d+ seconds?)?,", "only in (so long),"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\dZ+:]*( UTC)?|\d\d:\d\d:\d\d UTC", "(time)"),
    ):
        text = re.sub(pattern, instead, text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
