"""Credentials: tokens, saved logins and their renewal, and the ways to sign in."""

from vercel_sql.auth.credentials import Credential, find_credential, given_credential

__all__ = ["Credential", "find_credential", "given_credential"]
