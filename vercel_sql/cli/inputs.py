"""The inputs of the command line: scripts, and the values of their placeholders."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from vercel_sql.cli.terminal import waiting
from vercel_sql.errors import ParameterError
from vercel_sql.paths import named_path
from vercel_sql.sql import Parameters

_UTF8 = "utf-8-sig"  # a byte order mark is not part of the text


@dataclass(frozen=True)
class ScriptText:
    """A script, and its name in an error.

    Attributes:
        source: where it came from; empty if it is the only script.
        text: the statements.
    """

    source: str
    text: str = field(repr=False)


@dataclass(frozen=True)
class Inputs:
    """All that is read before the first statement runs.

    Attributes:
        scripts: in the order in which they run.
        parameters: the values of the placeholders.
        hidden: values from files, which no message repeats.
    """

    scripts: Sequence[ScriptText]
    parameters: Parameters
    hidden: Sequence[str] = field(repr=False)


def read_inputs(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> Inputs:
    """Read everything; what can't be read is a usage error."""
    reader = _Reader(parser)
    parameters, hidden = reader.parameters(arguments.parameters)
    return Inputs(reader.scripts(arguments.scripts), parameters, hidden)


class _Reader:
    """Reads what the options name; the parser's `error` ends the command."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._fail = parser.error

    def scripts(self, given: Sequence[tuple[str, str]]) -> list[ScriptText]:
        scripts: list[ScriptText] = []
        texts = [text for kind, text in given if kind == "text"]
        for kind, text in given:
            if kind == "text":
                number = sum(script.source.startswith("-c") for script in scripts) + 1
                source = "" if len(given) == 1 else "-c" if len(texts) == 1 else f"-c no. {number}"
                scripts.append(ScriptText(source, self._checked(text, "-c")))
            elif text == "-":
                scripts.append(ScriptText("standard input", self._standard_input()))
            else:
                scripts.append(ScriptText(text, self._file(text, "-f")))
        for script in scripts:
            if "\0" in script.text:  # DuckDB 1.5 ignores it; a power cut leaves such files
                self._fail(f"{script.source or '-c'} is damaged, or not text: it contains NUL")
        return scripts

    def parameters(self, given: Sequence[str]) -> tuple[Parameters, list[str]]:
        values: dict[str, str] = {}
        hidden: list[str] = []
        for text in given:
            name, equals, value = text.partition("=")
            if not equals or not name:
                self._fail("--param takes NAME=VALUE")
            if name in values:
                self._fail(f"--param {name} is given twice")
            option = f"--param {name}"
            if value.startswith("@") and not value.startswith("@@"):
                value = self._file(value[1:], option).removesuffix("\n").removesuffix("\r")
                hidden.append(value)
            else:
                value = self._checked(value, option)
                value = value[1:] if value.startswith("@@") else value
            values[self._checked(name, "--param")] = value
        try:
            return Parameters(values, text=True), hidden
        except ParameterError as error:
            self._fail(str(error))

    def _checked(self, text: str, option: str) -> str:
        """An argument, which Python decodes with surrogates if the locale is not UTF-8."""
        try:
            return text if text.isascii() else os.fsencode(text).decode("utf-8")
        except UnicodeError:
            pass
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._fail(f"{option} is not UTF-8 text")
        return text

    def _standard_input(self) -> str:
        if sys.stdin is None:
            self._fail("standard input is closed")
        try:
            # The bytes, since the locale's decoding accepts what is not text.
            with waiting("statements on standard input"):
                return sys.stdin.buffer.read().decode(_UTF8)
        except OSError as error:
            self._fail(f"standard input can't be read: {error.strerror or 'unknown error'}")
        except UnicodeDecodeError:
            self._fail("standard input is not UTF-8 text")

    def _file(self, path: str, option: str) -> str:
        try:
            with waiting(path):  # it may be a named pipe
                return named_path(path).read_text(_UTF8)
        except OSError as error:
            self._fail(f"{option}: {path} can't be read: {error.strerror or 'unknown error'}")
        except UnicodeDecodeError:
            self._fail(f"{option}: {path} is not UTF-8 text")
