"""Signals while statements run, where they meet Python at an awkward moment."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from vercel_sql.runtime.signals import Interrupts


def _interrupted_while_it_is_closed() -> Iterator[int]:
    try:
        yield 1
    finally:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)  # where Python runs the signal's handler


def test_a_signal_while_something_is_cleared_away_prints_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped: list[bool] = []
    interrupts = Interrupts(lambda: stopped.append(True))
    with interrupts.listening():
        rows = _interrupted_while_it_is_closed()
        next(rows)
        del rows
    assert interrupts.came
    assert stopped
    assert capsys.readouterr().err == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_other_errors_there_are_told_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError("told")

    told: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.unraisablehook", told.append)
        with Interrupts(lambda: None).listening():
            Broken()
    assert len(told) == 1
