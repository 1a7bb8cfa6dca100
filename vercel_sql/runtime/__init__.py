"""Time limits, cancellation, signals, state shared by a process, shutdown."""
