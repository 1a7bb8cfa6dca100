"""How the statements of ours are read, token by token; a small reader for each."""
