"""The magic ``%vercel``, for a line or a cell of SQL."""

from __future__ import annotations

from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from vercel_sql.errors import Error
from vercel_sql.notebook.failures import shortened
from vercel_sql.notebook.options import Options, read_options
from vercel_sql.notebook.progress import watching
from vercel_sql.notebook.session import Session, show


@magics_class
class VercelMagics(Magics):
    """``%vercel`` and ``%%vercel``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell=shell)
        self._session = Session(shell.user_ns, lambda connection: watching(shell, connection))

    @no_var_expand
    @line_cell_magic
    def vercel(self, line: str, cell: str | None = None) -> Any:
        """Runs SQL over the Vercel API.

        %vercel [OPTIONS] SELECT …      one line, also as: rows = %vercel SELECT …
        %%vercel [OPTIONS]              a cell of statements; the last one's result is given
        %vercel                         which account is used

        The token is that of VERCEL_TOKEN or of vercel-sql login. $name, :name and {{ name }} are
        the values of notebook variables; DataFrames and earlier results can be named in FROM.

        --as KIND          table (the default), relation, pandas, polars or arrow
        --save NAME        puts the result into a variable as well
        --quiet            shows no result
        --show-secrets     shows secrets, which the notebook's file will then hold
        --strict           makes values that can't be read an error, in place of NULL and a warning
        --max-writes N     how many writes each statement may send (100)
        --max-wait SECONDS how long each statement may wait for rate limits (as long as it takes)
        --connection NAME  uses the vercel_sql.connect() in a variable, from now on
        """
        try:
            if not line.strip() and cell is None:
                show(self._session.mask(self._session.status()))
                return None
            return self._run(read_options(line), cell)
        except (Error, KeyboardInterrupt) as error:
            raise shortened(error, self._session.mask) from None

    def _run(self, options: Options, cell: str | None) -> Any:
        if options.connection:
            self._session.use(options.connection)
            if not options.sql and cell is None:
                return None
        return self._session.run(options, f"{options.sql}\n{cell or ''}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Makes the magic known, for ``%load_ext vercel_sql``."""
    shell.register_magics(VercelMagics)
