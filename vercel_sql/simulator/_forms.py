"""Reading what is sent as a form, and as a browser's query."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request

_FORM = "application/x-www-form-urlencoded"


def is_form(request: Request) -> bool:
    """Whether the body says that it is a form."""
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == _FORM


async def read_form(request: Request) -> dict[str, str]:
    """Read a form's parameters; one without a value counts as left out (RFC 6749, 3.2).

    Raises:
        ValueError: It is no form, or names a parameter twice.
    """
    if not is_form(request):
        raise ValueError(f"the `Content-Type` should be {_FORM}.")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeError:
        raise ValueError("the form should be percent-encoded UTF-8.") from None
    return once(pairs)


def once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give parameters by name, without those that are empty.

    Raises:
        ValueError: One is given more than once.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise ValueError(f"`{name}` should be given once.")
        given[name] = value
    return {name: value for name, value in given.items() if value}
