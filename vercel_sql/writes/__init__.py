"""Calls that change something: create, delete, rotate; what becomes of their secrets."""
