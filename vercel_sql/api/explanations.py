"""What an error of the API means for people, as the manifest says."""

from __future__ import annotations

from vercel_sql.errors import APIErrorDetail
from vercel_sql.manifest import Explanation, Method, vercel


def explained(method: Method, detail: APIErrorDetail, bearer: str | None) -> str:
    """What an error means and what to do about it; empty where the manifest says nothing."""
    provider = vercel().provider
    for each in provider.explanations:
        if _fits(each, method, detail, bearer or ""):
            return f"{each.text}. {provider.token_advice}" if each.advice else each.text
    return ""


def _fits(each: Explanation, method: Method, detail: APIErrorDetail, bearer: str) -> bool:
    conditions = (
        not each.status or detail.status in each.status,
        each.code in (None, detail.code),
        each.flag is None or detail.extra.get(each.flag) is True,
        not each.messages or detail.message.startswith(tuple(each.messages)),
        not each.markers or bearer.startswith(tuple(each.markers)),
        not each.methods or f"{method.resource}.{method.name}" in each.methods,
        each.auth in (None, method.auth),
    )
    return all(conditions)
