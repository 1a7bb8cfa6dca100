"""The exit codes of the command line."""

FINE = 0
FAILED = 1  # a statement failed
WRONG_USE = 2  # the command was called wrongly
ORPHANS = 3  # recover: somebody has to do something about a token that nobody may have
ROWS = 3  # a report has rows, or has none, and was told to fail where that is so
INTERRUPTED = 130  # ended by Ctrl-C, as shells have it
