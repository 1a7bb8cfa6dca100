"""Sends one write and keeps what its answer shows only once."""

from __future__ import annotations

import pyarrow as pa

from vercel_sql.api import Request, SecretsFile
from vercel_sql.errors import OperationalError, PartialWriteError
from vercel_sql.manifest import Method
from vercel_sql.sql.running.resolve import Target
from vercel_sql.tables.calls import salvage


def send_and_keep(
    target: Target, method: Method, request: Request, secrets_file: SecretsFile | None
) -> pa.Table:
    """The answer as a table; secrets are on disk before it returns.

    Raises:
        APIError: Vercel answered with an error.
        TransportError: no answer came.
        PartialWriteError: it was carried out, and something is wrong with the answer or the file;
            the error carries the secrets.
    """
    client = target.catalog.client
    table, problem = salvage(target.resource, method, client.send(request))
    secret = [column.name for column in method.returns if column.secret]
    for name in secret:
        client.redactor.add(table.column(name)[0].as_py())
    if secret and secrets_file is not None:
        names = [column.name for column in method.returns if column.stored]
        values = table.select(names).to_pylist()[0]
        kept = {name: value for name, value in values.items() if value is not None}
        try:
            secrets_file.append(target.resource.full_name, method.name, kept)
        except OperationalError as error:
            problem = problem or error
    if problem is not None:
        raise PartialWriteError(str(problem), cause=problem, table=table)
    return table
