"""Redaction: what is secret, by its value, its name or its shape, and how text is shown without it.

Values come from the process itself, names and shapes from the manifest. Whatever shows text goes
through here: errors, logs, plans, notebooks, the shell's history and its own.
"""

from vercel_sql.redaction.known import MASK, KnownSecrets, Redactor, mask_known
from vercel_sql.redaction.names import mask_shapes

__all__ = ["MASK", "KnownSecrets", "Redactor", "mask_known", "mask_shapes"]
