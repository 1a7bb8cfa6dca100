"""The command that serves the simulated API, within this process."""

import argparse
import io
import signal
import sys

from vercel_sql.simulator import add_arguments, run


def served(monkeypatch, *options, meanwhile=lambda variables: None):
    """Run the command, and end it once it serves; give its exit code and what it printed."""
    parser = argparse.ArgumentParser("simulate")
    add_arguments(parser)

    class Output(io.StringIO):
        def flush(self):
            meanwhile(variables(self.getvalue()))
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Output())
        code = run(parser.parse_args(options))
        return code, variables(sys.stdout.getvalue())


def variables(text):
    return dict(line.split("=", 1) for line in text.splitlines())
