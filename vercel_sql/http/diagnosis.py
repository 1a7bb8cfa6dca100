"""From a failure of the network to an error that says what failed, where, and what to do."""

from __future__ import annotations

import errno
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from vercel_sql.errors import TransportError
from vercel_sql.http.answers import one_line
from vercel_sql.http.connections import CONNECT_SECONDS, MOST_CONNECTIONS, proxy_variable
from vercel_sql.http.requests import Request
from vercel_sql.manifest import Method

if TYPE_CHECKING:
    from vercel_sql.http.client import Client

_LONGEST_REASON = 200
# What can be wrong with a certificate, by OpenSSL's numbers (X509_V_ERR_…), and what to do.
_BETWEEN = "Check the API URL, and whether something is between this machine and the server."
_CERTIFICATES = {
    9: ("is not valid yet", "Check this machine's clock; it may be behind."),
    10: ("has expired", f"Check this machine's clock; it may be ahead. {_BETWEEN}"),
    62: ("is for another host", _BETWEEN),
    64: ("is for another address", _BETWEEN),
}
_UNTRUSTED = (
    "is not signed by an authority that this machine trusts",
    "Where a company's proxy reads along, its CA certificate has to be in a file that "
    "SSL_CERT_FILE names, or in the directory SSL_CERT_DIR.",
)
_OFFLINE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


@dataclass(frozen=True)
class Diagnosis:
    """Why a request got no answer.

    Attributes:
        reason: in a few words.
        advice: what to do about it.
        unsent: whether the server surely has not seen the request.
        lasting: whether trying again is no use.
        timed_out: whether it was not waited for any longer, and the server may still be at it.
    """

    reason: str
    advice: str = ""
    unsent: bool = True
    lasting: bool = False
    timed_out: bool = False


def diagnose(
    error: httpx.HTTPError, base: str, timeout: float, option: str, *, is_late: bool = False
) -> Diagnosis:
    """What a failure of httpx means."""
    url = httpx.URL(base)
    place = f"{url.host}:{url.port}" if url.port else url.host
    proxy = proxy_variable(base)
    by_proxy = f" {proxy} is set: it may be the proxy that can't be reached." if proxy else ""
    match error:
        case httpx.ProxyError():
            return _of_proxy(str(error), proxy or "the environment")
        case httpx.ConnectTimeout():
            seconds = min(timeout, CONNECT_SECONDS)
            reason = f"connecting to {place} took longer than {seconds:g} s"
            return Diagnosis(reason, f"Check the network and its firewall.{by_proxy}")
        case httpx.ConnectError():
            return _of_connecting(error, place, option, by_proxy)
        case httpx.PoolTimeout():
            reason = f"all {MOST_CONNECTIONS} connections were in use for {timeout:g} s"
            return Diagnosis(reason, "Fewer statements at a time may help.")
        case httpx.TimeoutException():
            reason, advice = _silence(error, place, timeout), "--request-timeout says how long."
            if is_late:
                reason = f"{place} had not answered when the statement's time was over"
                advice = "--timeout says how long a statement may take."
            return Diagnosis(reason, advice, unsent=False, timed_out=True)
    return _in_the_middle(error, place)


def no_answer(client: Client, request: Request, error: httpx.HTTPError) -> TransportError:
    """The error for a request that got no answer."""
    method, mask, scope = request.method, client.redactor.mask, client.current_scope
    base = client.urls[method.server]
    is_late = scope.is_over and not scope.is_cancelled
    option = f"--{method.server}-url"
    found = diagnose(error, base, client.request_timeout, option, is_late=is_late)
    unknown = not found.unsent and not method.reads
    where = request.where(mask, " got no answer", base)
    text = f"{mask(found.reason)} {where}."
    if unknown:
        text += " It may have been carried out all the same, and was not sent again"
        # Where its outcome can be looked up, somebody else says so.
        text += "." if method.trace else f": {_before_repeating(method)}."
    text = f"{text} {found.advice}".strip().removesuffix(".")
    path = mask(request.path)
    failure = TransportError(text, method=method.http, path=path, outcome_unknown=unknown)
    failure.lasting, failure.timed_out = found.lasting, found.timed_out
    return failure


def _before_repeating(method: Method) -> str:
    """What to do about a write that may have been carried out, and can't be looked up."""
    if method.makes_secret:
        return "begin the sign-in again"
    if method.verb == "delete":
        return "list the table before you repeat the statement"
    return "find out before you repeat it"


def _of_connecting(error: Exception, place: str, option: str, by_proxy: str) -> Diagnosis:
    """Why no connection came about."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                # Trying again would not change that.
                reason, advice = _CERTIFICATES.get(cause.verify_code, _UNTRUSTED)
                reason = f"the certificate of {place} {reason}: {_short(cause)}"
                return Diagnosis(reason, advice, lasting=True)
            case ssl.SSLError():
                reason = f"{place} and this machine could not agree on TLS: {_short(cause)}"
                return Diagnosis(reason, f"Check {option}: does that port speak https?{by_proxy}")
            case socket.gaierror():
                reason = f"the name {place.partition(':')[0]} can't be resolved: {_short(cause)}"
                return Diagnosis(reason, f"Check the network, its DNS and {option}.{by_proxy}")
            case ConnectionRefusedError():
                reason = f"{place} refused the connection: nothing listens there"
                return Diagnosis(reason, f"Check {option}.{by_proxy}")
            case OSError(errno=number) if number in _OFFLINE:
                reason = f"{place} is unreachable: {_short(cause)}"
                return Diagnosis(reason, f"Is this machine online?{by_proxy}")
        cause = cause.__cause__ or cause.__context__
    return Diagnosis(f"connecting to {place} failed: {_short(error)}", f"Check {option}.{by_proxy}")


def _of_proxy(text: str, variable: str) -> Diagnosis:
    """Why the proxy did not let the request through; it never left for the server."""
    advice = f"Check {variable}."
    if text.startswith("407"):
        advice = f"It wants credentials: {variable} takes them as http://USER:PASSWORD@HOST:PORT."
    return Diagnosis(f"the proxy refused to connect: {_short(text)}", advice)


def _silence(error: httpx.TimeoutException, place: str, timeout: float) -> str:
    if isinstance(error, httpx.WriteTimeout):
        return f"{place} took nothing in for {timeout:g} s"
    text = str(error)
    # Our own word for an answer that trickles in; see `exchange`.
    return text if text.startswith("the answer") else f"{place} was silent for {timeout:g} s"


def _in_the_middle(error: httpx.HTTPError, place: str) -> Diagnosis:
    """A connection that came about, and that ended too early or was no HTTP."""
    text = _short(error)
    if isinstance(error, httpx.RemoteProtocolError) and "illegal" in text:
        reason = f"{place} sent an invalid HTTP response: {text}"
        return Diagnosis(reason, "Check the API URL and the proxy.", unsent=False)
    ended = isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError)
    reason = f"the connection to {place} broke" if ended else f"{type(error).__name__}"
    return Diagnosis(f"{reason}: {text}" if text else reason, unsent=False)


def _short(error: BaseException | str) -> str:
    """What an error says, on one line and not at length: the server may have written it."""
    return one_line(str(error) or type(error).__name__)[:_LONGEST_REASON].rstrip(".")
