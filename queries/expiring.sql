-- Tokens that expire soon
--
-- Answers: Which tokens still work and will stop working in less than `days` days?
-- Parameter: days INTEGER = 30 -- days of 24 hours, from now
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Rotate what is in use before the day comes: make the new token, put it where the old one
--   is, revoke the old one. Let the others expire; idle_days tells which are which.
-- Chart: timeline expires_at, name
SELECT
    name,
    expires_in_days,
    expires_at,
    idle_days,
    never_used,
    has_user_scope,
    team_count,
    origin,
    suffix,
    is_session,
    is_current,
    id
FROM vercel.audit.user_tokens
WHERE is_working IS NOT FALSE
  AND (coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE)
  AND expires_in_days < coalesce(getvariable('days'), 30)
ORDER BY expires_at, name, id;
