"""No text of an error steers a terminal, whoever prints it."""

import traceback

import pytest

from vercel_sql import errors

STEERING = "\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\r\u202e\u2066\U000e0041\x7f\x08"


def every_error(kind=errors.Error):
    return [kind, *(each for sub in kind.__subclasses__() for each in every_error(sub))]


@pytest.mark.parametrize("kind", every_error())
def test_the_text_of_every_error_is_harmless(kind):
    error = kind.__new__(kind, f"it cites {STEERING} and\n\tgoes on")
    printed = "".join(traceback.format_exception(error))
    for shown in (str(error), repr(error), f"{error}", printed):
        assert not {character for character in STEERING if not character.isprintable()} & set(shown)
        assert r"\x1b[2J" in shown
    assert str(error).endswith(r"\x7f\x08 and" + "\n    goes on")


def test_what_the_api_said_stays_what_it_is_for_programs():
    detail = errors.APIErrorDetail(400, STEERING, STEERING, "GET", "/")
    error = errors.BadRequestError(f"cites {STEERING}", detail)
    assert (error.code, error.message) == (STEERING, STEERING)
