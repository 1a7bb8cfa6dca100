-- Tokens that were never used
--
-- Answers: Which tokens that still work were made at least `min_age` days ago and never used since?
-- Parameter: min_age INTEGER = 7 -- whole days since it was made; younger ones may be on their way
--   to where they are needed
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Revoke it. Nothing can break that has never worked, and a forgotten copy can still leak.
-- Chart: bar name, age_days
SELECT
    name,
    age_days,
    created_at,
    expires_at,
    has_user_scope,
    team_count,
    origin,
    suffix,
    is_session,
    id
FROM vercel.audit.user_tokens
WHERE coalesce(never_used, true)  -- a use that nobody knows of is none
  AND is_working IS NOT FALSE
  AND (coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE)
  -- The token that makes this very report is in use, whatever the listing says.
  AND NOT is_current
  AND coalesce(age_days >= coalesce(getvariable('min_age'), 7), true)
ORDER BY age_days DESC NULLS FIRST, name, id;
