"""Credentials: tokens, saved logins and their renewal, and the ways to sign in."""

from vercel_sql.auth.credentials import Credential, given_credential
from vercel_sql.auth.sources import find_credential

__all__ = ["Credential", "find_credential", "given_credential"]
