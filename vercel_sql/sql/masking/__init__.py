"""Statements without their secrets: for a history, and for errors that repeat a part of one."""

from vercel_sql.sql.masking.citing import mask_cited, mask_plan
from vercel_sql.sql.masking.statement import masked_statement, secret_values

__all__ = ["mask_cited", "mask_plan", "masked_statement", "secret_values"]
