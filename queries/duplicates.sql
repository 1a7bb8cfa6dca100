-- Tokens that share a name
--
-- Answers: Which names do several tokens that still work have, whatever the case and the spaces
--   around them?
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Keep the one that is in use, most likely the newest, and revoke the others. Where all
--   are in use, rename them after what uses them: nobody can rotate one of two twins safely.
-- Chart: timeline created_at, name
SELECT
    name,
    count(*) OVER same_name AS tokens_of_that_name,
    row_number() OVER (same_name ORDER BY created_at DESC, id) = 1 AS is_newest,
    idle_days,
    never_used,
    created_at,
    if(never_used, NULL, active_at) AS last_used_at,
    expires_at,
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
  AND name IS NOT NULL
WINDOW same_name AS (PARTITION BY lower(trim(name)))
QUALIFY tokens_of_that_name > 1
ORDER BY tokens_of_that_name DESC, lower(trim(name)), created_at DESC, id;
