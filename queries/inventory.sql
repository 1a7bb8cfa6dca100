-- Inventory of tokens
--
-- Answers: Which tokens are there, what does each reach, and when was it last used?
-- On a hit: Every token needs somebody who knows what it is for. Where nobody does, the reports
--   stale, never_used and never_expiring say which to revoke first. A browser session (is_session)
--   is a person who is signed in.
-- Chart: timeline created_at, origin
SELECT
    name,
    CASE
        WHEN is_revoked THEN 'revoked'
        WHEN is_expired THEN 'expired'
        WHEN is_leaked THEN 'leaked'
        WHEN is_revoked IS NULL OR is_expired IS NULL OR is_leaked IS NULL THEN 'unreadable'
        ELSE 'works'
    END AS state,
    concat_ws(
        ', ',
        CASE WHEN has_user_scope IS NULL THEN 'unreadable' END,
        CASE WHEN has_user_scope THEN 'whole account' END,
        CASE WHEN team_count > 0 THEN team_count || if(team_count = 1, ' team', ' teams') END,
        CASE WHEN has_sudo THEN 'sudo' END
    ) AS reaches,
    origin,
    created_at,
    if(never_used, NULL, active_at) AS last_used_at,
    idle_days,
    expires_at,
    leaked_at,
    revoked_at,
    type,
    suffix,
    is_session,
    is_current,
    id
FROM vercel.audit.user_tokens
ORDER BY created_at DESC, id;
