"""The command line: queries, the shell, reports, logins. Its exit codes are here."""

FINE = 0
FAILED = 1
WRONG_USE = 2
ORPHANS = 3  # recover: somebody has to do something about a token
ROWS = 3  # a report breaks --fail-if-rows or --fail-if-empty
INTERRUPTED = 130  # by Ctrl-C, as shells report it
