"""What one ``SELECT … WHERE id =`` runs through: modules, functions, calls from one to another.

Run by hand: ``python tests/benchmarks/trace.py [--list]``. The statement runs once before it is
traced, so that nothing is imported or made for the first time. Counted is what is called of the
package, on all threads; the simulated API runs in a process of its own.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

from listing import serve

import vercel_sql

TARGETS = (35, 200)
"""Modules and functions."""
PACKAGE = str(Path(vercel_sql.__file__).parent)


class Trace:
    """Counts the calls of the package's functions, while it is on, on threads that begin later.

    It is made before the first statement, since that leaves threads behind for the next ones.
    """

    def __init__(self) -> None:
        self.functions: Counter[CodeType] = Counter()
        self.crossings: Counter[tuple[str, str]] = Counter()
        self.is_on = False
        threading.setprofile(self._note)
        sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        if not self.is_on or event != "call" or not code.co_filename.startswith(PACKAGE):
            return
        self.functions[code] += 1
        caller = frame.f_back.f_code.co_filename if frame.f_back else ""
        if caller.startswith(PACKAGE) and caller != code.co_filename:
            self.crossings[named(caller), named(code.co_filename)] += 1

    @property
    def modules(self) -> Counter[str]:
        """How many functions of each module were called."""
        return Counter(named(code.co_filename) for code in self.functions)


def named(path: str) -> str:
    """A file of the package as its module, without the package's name."""
    return path[len(PACKAGE) + 1 :].removesuffix(".py").replace("/", ".")


def main() -> None:
    """Prints the counts, and what they count where it is asked for."""
    server, url, token = serve(50)
    trace = Trace()
    try:
        # DuckDB's own threads can't be traced.
        with vercel_sql.connect(token, api_url=url, config={"threads": 1}) as con:
            query = "SELECT id FROM vercel.authentication.user_tokens LIMIT 1"
            ((key,),) = con.execute(query).fetchall()
            row = f"SELECT * FROM vercel.authentication.user_tokens WHERE id = '{key}'"
            con.execute(row).fetchall()
            trace.is_on = True
            con.execute(row).fetchall()
            trace.is_on = False
    finally:
        sys.setprofile(None)
        server.communicate("", timeout=30)
    calls = sum(trace.functions.values())
    print(f"modules {len(trace.modules)} (target {TARGETS[0]}), ", end="")
    print(f"functions {len(trace.functions)} (target {TARGETS[1]}), ", end="")
    print(f"calls {calls}, of which from one module to another {sum(trace.crossings.values())}")
    if "--list" in sys.argv[1:]:
        for module, functions in trace.modules.most_common():
            names = sorted(c.co_qualname for c in trace.functions if named(c.co_filename) == module)
            print(f"{functions:4} {module}: {', '.join(names)}")


if __name__ == "__main__":
    main()
