"""The resource/method manifest: data files, one a service, and the small model that reads them."""

from vercel_sql.manifest.loader import Manifest, vercel
from vercel_sql.manifest.model import (
    Caution,
    Column,
    Echo,
    Limit,
    Method,
    Paging,
    Parameter,
    RecoveryLookup,
    Resource,
    Rotation,
    SelfReference,
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
)

__all__ = [
    "AccountRules",
    "Caution",
    "Column",
    "Echo",
    "Explanation",
    "Limit",
    "Manifest",
    "Method",
    "Paging",
    "Parameter",
    "Provider",
    "RecoveryLookup",
    "Resource",
    "Rotation",
    "SelfReference",
    "Server",
    "Service",
    "Step",
    "TokenKind",
    "TokenScopeRule",
    "View",
    "vercel",
]
