"""The history of an account: snapshots of its tokens, appended to a database run by run."""
