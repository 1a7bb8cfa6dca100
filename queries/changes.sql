-- Changes between two snapshots
--
-- Answers: What became of the account's tokens between two runs of vercel-sql snapshot: which
--   ones are new or gone, and which got another name, other scopes or another expiry, leaked, or
--   were used?
-- Parameter: account VARCHAR = NULL -- the account's id or name; NULL is the one of the newest run
-- Parameter: from_run BIGINT = NULL -- the earlier run; NULL is the account's last before to_run
-- Parameter: to_run BIGINT = NULL -- the later run; NULL is the account's newest
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out; those that leaked are always here
-- On a hit: Revoke what leaked, and what is new, renamed or in use and nobody knows of. Each
--   difference is a row, with times in UTC. There is none before the account has two runs. A new
--   token is only `created`, whatever else is true of it, and use of a token that takes the
--   snapshots is left out.

WITH asked AS (
    SELECT
        getvariable('account')::VARCHAR AS account,
        getvariable('from_run')::BIGINT AS from_run,
        getvariable('to_run')::BIGINT AS to_run
),

fitting AS (  -- the runs of the account that is asked for
    SELECT runs.*
    FROM history.runs AS runs, asked
    WHERE asked.account IS NULL OR asked.account IN (runs.account_id, runs.account)
),

later AS (
    SELECT fitting.*
    FROM fitting, asked
    LEFT JOIN fitting AS named ON named.run_id = asked.from_run
    WHERE fitting.run_id = coalesce(asked.to_run, fitting.run_id)
        AND fitting.account_id = coalesce(named.account_id, fitting.account_id)
        AND fitting.api_url = coalesce(named.api_url, fitting.api_url)
    ORDER BY fitting.run_id DESC
    LIMIT 1
),

earlier AS (
    SELECT fitting.*
    FROM fitting, asked, later
    WHERE fitting.account_id = later.account_id
        AND fitting.api_url = later.api_url
        AND fitting.run_id = coalesce(asked.from_run, fitting.run_id)
        AND (asked.from_run IS NOT NULL OR fitting.run_id < later.run_id)
    ORDER BY fitting.run_id DESC
    LIMIT 1
),

compared AS (  -- one row, none before there are two runs, or an error: never a wrong "no changes"
    SELECT
        earlier.run_id AS from_run,
        later.run_id AS to_run,
        earlier.taken_at::TIMESTAMP WITH TIME ZONE AS from_time,
        later.taken_at::TIMESTAMP WITH TIME ZONE AS to_time,
        -- what an older vercel-sql did not keep is NULL in its runs, and that is no difference
        list_intersect(
            from_json(earlier.column_names, '["VARCHAR"]'),
            from_json(later.column_names, '["VARCHAR"]')
        ) AS shared
    FROM asked
    LEFT JOIN later ON true
    LEFT JOIN earlier ON true
    WHERE CASE
        WHEN earlier.run_id IS NOT NULL THEN true
        WHEN later.run_id IS NULL AND asked.account IS NOT NULL
            THEN error('the history has no such run of ' || asked.account)
        WHEN later.run_id IS NULL AND asked.to_run IS NOT NULL
            THEN error('the history has no run ' || asked.to_run || ' of that account')
        WHEN asked.from_run IS NOT NULL
            THEN error('the history has no run ' || asked.from_run || ' of that account')
        ELSE false
    END
),

before AS (
    SELECT tokens.* FROM history.tokens AS tokens, compared
    WHERE tokens.run_id = compared.from_run AND id IS NOT NULL
),

after AS (
    SELECT tokens.* FROM history.tokens AS tokens, compared
    WHERE tokens.run_id = compared.to_run AND id IS NOT NULL
),

kept AS (  -- what both runs have
    SELECT
        before.id,
        after.name,
        before.name AS old_name,
        before.activeAt AS old_active, after.activeAt AS new_active, after.createdAt AS created,
        before.expiresAt AS old_expiry, after.expiresAt AS new_expiry,
        -- what could not be read is kept there, and is not never
        json_extract_string(before.additional_fields, '$.expiresAt') AS old_unread,
        json_extract_string(after.additional_fields, '$.expiresAt') AS new_unread,
        before.leakedAt AS old_leak, after.leakedAt AS new_leak,
        before.leakedUrl AS old_url, after.leakedUrl AS new_url,
        before.revokedAt AS old_revoked, after.revokedAt AS new_revoked
    FROM before JOIN after ON before.id = after.id
),

scopes AS (  -- each scope as text, so that their order does not matter
    SELECT
        run_id,
        id,
        list_distinct([
            concat_ws(
                ', ',
                concat_ws(' ', s.type, s.teamId),
                'from ' || s.origin,
                'since ' || try(epoch_ms(s.createdAt)::VARCHAR),
                'until ' || try(epoch_ms(s.expiresAt)::VARCHAR),
                'sudo from ' || s.sudo.origin,
                'verified ' || try(epoch_ms(s.sudo.verifiedAt)::VARCHAR),
                'sudo until ' || try(epoch_ms(s.sudo.expiresAt)::VARCHAR)
            )
            FOR s IN coalesce(from_json(tokens.scopes, '[{
                "type": "VARCHAR", "teamId": "VARCHAR", "origin": "VARCHAR",
                "createdAt": "BIGINT", "expiresAt": "BIGINT",
                "sudo": {"origin": "VARCHAR", "verifiedAt": "BIGINT", "expiresAt": "BIGINT"}
            }]'), [])
        ]) AS texts
    FROM (FROM before UNION ALL FROM after) AS tokens
),

rescoped AS (
    SELECT
        kept.id,
        kept.name,
        list_sort([t FOR t IN before.texts IF NOT list_contains(after.texts, t)]) AS lost,
        list_sort([t FOR t IN after.texts IF NOT list_contains(before.texts, t)]) AS gained
    FROM kept CROSS JOIN compared
    JOIN scopes AS before ON before.id = kept.id AND before.run_id = compared.from_run
    JOIN scopes AS after ON after.id = kept.id AND after.run_id = compared.to_run
),

callers AS (  -- the tokens that took a snapshot from the earlier run to the later one
    SELECT DISTINCT tokens.id
    FROM history.tokens AS tokens, compared
    WHERE tokens.is_current
        AND tokens.run_id BETWEEN least(from_run, to_run) AND greatest(from_run, to_run)
),

sessions AS (  -- the browsers that people are signed in with
    SELECT id
    FROM (FROM before UNION ALL FROM after)
    WHERE type = 'token' AND starts_with(name, 'Website, ')
),

differences AS (
    SELECT 'created' AS kind, id, name, NULL AS before, try(epoch_ms(createdAt)::VARCHAR) AS after
    FROM after ANTI JOIN before USING (id)
    UNION ALL
    SELECT 'revoked', id, name, 'listed',
        CASE WHEN expiresAt <= epoch_ms(to_time) THEN 'gone, after it had expired' ELSE 'gone' END
    FROM before ANTI JOIN after USING (id) CROSS JOIN compared
    WHERE revokedAt IS NULL
    UNION ALL
    SELECT 'revoked', id, name, try(epoch_ms(old_revoked)::VARCHAR), try(epoch_ms(new_revoked)::VARCHAR)
    FROM kept, compared
    WHERE old_revoked IS DISTINCT FROM new_revoked AND list_contains(shared, 'revokedAt')
    UNION ALL
    SELECT 'leaked', id, name,
        concat_ws(' ', try(epoch_ms(old_leak)::VARCHAR), old_url),
        concat_ws(' ', try(epoch_ms(new_leak)::VARCHAR), new_url)
    FROM kept, compared
    WHERE (old_leak IS DISTINCT FROM new_leak AND list_contains(shared, 'leakedAt'))
        OR (old_url IS DISTINCT FROM new_url AND list_contains(shared, 'leakedUrl'))
    UNION ALL
    SELECT 'scope changed', id, name, array_to_string(lost, '; '), array_to_string(gained, '; ')
    FROM rescoped, compared
    WHERE len(lost) + len(gained) > 0 AND list_contains(shared, 'scopes')
    UNION ALL
    SELECT 'expiry changed', id, name,
        coalesce(try(epoch_ms(old_expiry)::VARCHAR), old_expiry::VARCHAR, old_unread, 'never'),
        coalesce(try(epoch_ms(new_expiry)::VARCHAR), new_expiry::VARCHAR, new_unread, 'never')
    FROM kept, compared
    WHERE (old_expiry, old_unread) IS DISTINCT FROM (new_expiry, new_unread)
        AND list_contains(shared, 'expiresAt')
    UNION ALL
    SELECT 'renamed', id, name, old_name, name
    FROM kept, compared
    WHERE old_name IS DISTINCT FROM name AND list_contains(shared, 'name')
    UNION ALL
    SELECT 'last used', id, name,
        CASE WHEN old_active <= created THEN 'never' ELSE try(epoch_ms(old_active)::VARCHAR) END,
        try(epoch_ms(new_active)::VARCHAR)
    FROM kept ANTI JOIN callers USING (id) CROSS JOIN compared
    WHERE old_active IS DISTINCT FROM new_active AND list_contains(shared, 'activeAt')
)

SELECT
    kind,
    id,
    name,
    nullif(before, '') AS before,
    nullif(after, '') AS after,
    from_run,
    to_run,
    from_time,
    to_time
FROM differences, compared
WHERE coalesce(getvariable('sessions'), false)
    OR kind = 'leaked'
    OR NOT EXISTS (FROM sessions WHERE sessions.id = differences.id)
ORDER BY
    list_position(
        [
            'leaked', 'created', 'revoked', 'scope changed', 'expiry changed', 'renamed',
            'last used'
        ],
        kind
    ),
    name,
    id;
