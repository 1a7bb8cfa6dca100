"""What must not be lost: creates under way, secrets that are shown once, and who did what."""

# The client notes what it sends here, so its package is loaded first, whoever imports which.
import vercel_sql.http.client  # noqa: F401
