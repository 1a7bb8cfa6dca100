"""The command line: queries, the demo, and the simulated API."""
