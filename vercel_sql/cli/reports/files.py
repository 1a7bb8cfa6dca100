"""Files that appear whole or not at all, and that only their owner may read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vercel_sql.api.os_files import replace, sync_file
from vercel_sql.api.private_files import require_replaceable

_PRIVATE = 0o600  # rows hold the ids of tokens


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Gives a path to write to, and puts what is there in the place of a file at the end.

    Until then the file stays as it is, and so it does where the context ends with an error. The
    path is in a directory of its own beside the file, which nobody else may enter: what writes
    there may make files of any mode. A process that is killed leaves that directory behind.
    """
    require_replaceable(path)
    beside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        part = beside / path.name
        yield part
        part.chmod(_PRIVATE)
        sync_file(part)  # else a power cut could leave an empty one
        replace(part, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
