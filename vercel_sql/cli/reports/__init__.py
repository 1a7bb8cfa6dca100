"""Reports: SQL files with a readable header, run on a schedule into complete files."""
