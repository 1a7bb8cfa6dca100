-- Tokens per team and origin, over time
--
-- Answers: How many of the tokens that work today were made in each month, for which team and from
--   where, and how many of that time still stand there and work no more?
-- Parameter: sessions BOOLEAN = false -- true counts browser sessions as well
-- On a hit: Look for months that stand out: a burst of tokens of one origin is a program that makes
--   them and never revokes them. A token of two teams counts for both.
-- Chart: bar month, tokens, team
SELECT
    date_trunc('month', created_at AT TIME ZONE 'UTC')::DATE AS month,
    team,
    origin,
    count(*) FILTER (is_working IS NOT FALSE) AS tokens,
    count(*) FILTER (NOT is_working) AS no_longer_working
FROM (
    SELECT
        created_at,
        is_working,
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
    WHERE coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE
)
GROUP BY month, team, origin
ORDER BY month, team, origin;
