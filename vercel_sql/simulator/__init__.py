"""A simulated Vercel API over real HTTP on loopback, for tests, demos and trying things out.

It is written from the API's documents and shares no code with the client, so that it cannot
agree with the client's mistakes.
"""

from vercel_sql.simulator._command import add_arguments, run
from vercel_sql.simulator._history import TokenEvent
from vercel_sql.simulator._kinds import KINDS, Kind
from vercel_sql.simulator._limits import RateLimit
from vercel_sql.simulator._oauth import OAuth
from vercel_sql.simulator._oauth_clients import OAuthClient
from vercel_sql.simulator._records import ReceivedRequest
from vercel_sql.simulator._server import Simulator
from vercel_sql.simulator._state import State
from vercel_sql.simulator._tokens import Token

__all__ = [
    "KINDS",
    "Kind",
    "OAuth",
    "OAuthClient",
    "RateLimit",
    "ReceivedRequest",
    "Simulator",
    "State",
    "Token",
    "TokenEvent",
    "add_arguments",
    "run",
]
