"""Reports: SQL files with a header for people, run on a schedule into files that are whole."""
