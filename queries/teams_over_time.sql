-- Tokens per team and origin, over time
--
-- Answers: How many of today's tokens were made in each month, for which team and from where?
-- On a hit: Look for months that stand out: a burst of tokens of one origin is a program that makes
--   them and never revokes them. A token of two teams counts for both.
-- Chart: bar month, tokens, team
SELECT
    date_trunc('month', created_at AT TIME ZONE 'UTC')::DATE AS month,
    team,
    origin,
    count(*) AS tokens,
    count(*) FILTER (is_revoked IS NOT TRUE AND is_expired IS NOT TRUE) AS still_working
FROM (
    SELECT
        created_at,
        is_revoked,
        is_expired,
        origin,
        unnest(
            if(
                has_user_scope IS NULL,
                ['unreadable'],
                if(
                    len(scopes) > 0,
                    list_distinct([
                        coalesce(s.teamId, if(s.type = 'user', 'whole account', 'unknown'))
                        FOR s IN scopes
                    ]),
                    ['nothing']
                )
            )
        ) AS team
    FROM vercel.audit.user_tokens
)
GROUP BY month, team, origin
ORDER BY month, team, origin;
