"""Live tables in DuckDB: datasets, pushed predicates, pages, rows and the catalog's DDL.

What needs pyarrow is imported when the first table is made: importing it takes longer than most
statements take to run.
"""
