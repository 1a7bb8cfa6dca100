"""Carries out the statements of ours: each is prepared in full before its first request."""

from vercel_sql.sql.running.engine import Engine, Limits, NativeQuery, Outcome
from vercel_sql.sql.running.plan import Plan
from vercel_sql.sql.running.resolve import Catalog, Resolver
from vercel_sql.sql.running.tally import what_is_left

__all__ = [
    "Catalog",
    "Engine",
    "Limits",
    "NativeQuery",
    "Outcome",
    "Plan",
    "Resolver",
    "what_is_left",
]
