"""HTTP: the client, retries, paging, limits and redaction."""

from vercel_sql.api.answers import Answer
from vercel_sql.api.arguments import check_arguments
from vercel_sql.api.cancel_scope import CancelScope
from vercel_sql.api.client import Client
from vercel_sql.api.connections import MOST_CONNECTIONS
from vercel_sql.api.decode import decode_json, encode_json
from vercel_sql.api.events import PageEvent, RequestEvent
from vercel_sql.api.paging import PageContent, walk
from vercel_sql.api.redaction import MASK, Redactor
from vercel_sql.api.requests import Request, build_request
from vercel_sql.ledger.secrets_file import SecretsFile

__all__ = [
    "MASK",
    "MOST_CONNECTIONS",
    "Answer",
    "CancelScope",
    "Client",
    "PageContent",
    "PageEvent",
    "Redactor",
    "Request",
    "RequestEvent",
    "SecretsFile",
    "build_request",
    "check_arguments",
    "decode_json",
    "encode_json",
    "walk",
]
