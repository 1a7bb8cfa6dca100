"""The notebook's door: ``%load_ext vercel_sql`` gives IPython and Jupyter the magic ``%vercel``.

A saved notebook is a file that people commit, so nothing here shows a secret unasked.
"""

from vercel_sql.notebook.magics import VercelMagics, load_ipython_extension
from vercel_sql.notebook.rows import Rows

__all__ = ["Rows", "VercelMagics", "load_ipython_extension"]
