"""The resource/method manifest: data files, one a service, and the small model that reads them."""

from vercel_sql.manifest.loader import Manifest, vercel
from vercel_sql.manifest.model import (
    Caution,
    Column,
    Limit,
    Method,
    Paging,
    Parameter,
    RecoveryLookup,
    Resource,
    Service,
    Step,
    TokenScopeRule,
    View,
)
from vercel_sql.manifest.provider import (
    AccountRules,
    Explanation,
    Provider,
    Server,
    TokenKind,
    Use,
)

__all__ = [
    "AccountRules",
    "Caution",
    "Column",
    "Explanation",
    "Limit",
    "Manifest",
    "Method",
    "Paging",
    "Parameter",
    "Provider",
    "RecoveryLookup",
    "Resource",
    "Server",
    "Service",
    "Step",
    "TokenKind",
    "TokenScopeRule",
    "Use",
    "View",
    "vercel",
]
