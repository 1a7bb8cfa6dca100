"""Reports: SQL files with a readable header, run on a schedule into complete files."""

SUFFIXES = {
    "table": "txt",
    "csv": "csv",
    "json": "json",
    "ndjson": "ndjson",
    "markdown": "md",
    "parquet": "parquet",
    "xlsx": "xlsx",
    "html": "html",
}
"""The formats, and the suffixes of their files."""

BINARY = ("parquet", "xlsx")
WITH_FACTS = ("html", "xlsx")
"""The formats that say how the rows were read, and from whose account."""
