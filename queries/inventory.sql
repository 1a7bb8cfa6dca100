-- Inventory of tokens
--
-- Answers: Which tokens are there, what does each reach, and when was it last used?
-- On a hit: Every token needs an owner and a reason. What has neither goes to stale, never_expiring
--   and broad_scopes next.
-- Chart: timeline created_at, name
SELECT
    name,
    CASE
        WHEN is_revoked THEN 'revoked'
        WHEN is_expired THEN 'expired'
        WHEN is_leaked THEN 'leaked'
        ELSE 'works'
    END AS state,
    concat_ws(
        ', ',
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
    is_current,
    id
FROM vercel.audit.user_tokens
ORDER BY created_at DESC, id;
