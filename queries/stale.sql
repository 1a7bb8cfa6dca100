-- Stale tokens
--
-- Answers: Which tokens that still work has nobody used for more than `days` days?
-- Parameter: days INTEGER = 90 -- whole days without use, rounded down; one that was never used
--   is idle since it was made
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Find out what it was made for, and revoke what nobody misses. Each is a token of the
--   account that asks: everyone sees only their own.
-- Chart: bar name, idle_days
SELECT
    name,
    coalesce(idle_days, age_days) AS idle_days,
    never_used,
    if(never_used, NULL, active_at) AS last_used_at,
    created_at,
    expires_at,
    has_user_scope,
    team_count,
    origin,
    suffix,
    is_session,
    id
FROM vercel.audit.user_tokens
WHERE is_working IS NOT FALSE
  AND (coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE)
  -- The token that makes this very report is in use, whatever the listing says.
  AND NOT is_current
  -- Where nothing is known about its use, that is a hit too.
  AND coalesce(coalesce(idle_days, age_days) > coalesce(getvariable('days'), 90), true)
ORDER BY coalesce(idle_days, age_days) DESC NULLS FIRST, name, id;
