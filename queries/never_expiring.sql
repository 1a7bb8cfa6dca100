-- Tokens that never expire
--
-- Answers: Which tokens work for ever, unless somebody revokes them?
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Replace it by one with an expiry. The oldest and the idlest first; those that reach the
--   whole account before those of one team.
-- Chart: bar name, age_days
SELECT
    name,
    age_days,
    idle_days,
    never_used,
    has_user_scope,
    team_count,
    created_at,
    if(never_used, NULL, active_at) AS last_used_at,
    origin,
    suffix,
    is_session,
    is_current,
    id
FROM vercel.audit.user_tokens
WHERE never_expires
  AND is_working IS NOT FALSE
  AND (coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE)
ORDER BY age_days DESC, name, id;
