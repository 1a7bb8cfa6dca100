"""A simulated Vercel API over real HTTP on loopback, for tests, demos and trying things out.

It is written from the API's documents and shares no code with the client, so that it cannot
agree with the client's mistakes.
"""

from vercel_sql.simulator.clients import OAuthClient
from vercel_sql.simulator.endpoints import RateLimit
from vercel_sql.simulator.models import KINDS, Kind, ReceivedRequest, Token, TokenEvent
from vercel_sql.simulator.oauth import OAuth
from vercel_sql.simulator.server import Simulator, add_arguments, run
from vercel_sql.simulator.store import State

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
