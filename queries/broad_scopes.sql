-- Tokens that reach far
--
-- Answers: Which tokens that still work reach the whole account, have sudo rights, or reach more
--   than `teams` teams?
-- Parameter: teams INTEGER = 3 -- so many teams are not yet too many
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions, whose revocation logs a
--   person out
-- On a hit: Replace it by a token of the one team, or the one project, that it is used for. Sudo
--   rights that nobody remembers asking for are an incident.
SELECT
    name,
    concat_ws(
        ', ',
        CASE WHEN has_user_scope IS NULL THEN 'unreadable' END,
        CASE WHEN has_sudo THEN 'sudo' END,
        CASE WHEN has_user_scope THEN 'whole account' END,
        CASE
            WHEN team_count > coalesce(getvariable('teams'), 3)
                THEN team_count || if(team_count = 1, ' team', ' teams')
        END
    ) AS why,
    has_sudo,
    has_user_scope,
    team_count,
    idle_days,
    expires_at,
    created_at,
    origin,
    suffix,
    is_session,
    is_current,
    id
FROM vercel.audit.user_tokens
WHERE is_working IS NOT FALSE
  AND (coalesce(getvariable('sessions'), false) OR is_session IS NOT TRUE)
  -- What can't be read may be anything.
  AND coalesce(has_sudo OR has_user_scope OR team_count > coalesce(getvariable('teams'), 3), true)
ORDER BY has_sudo DESC, has_user_scope DESC, team_count DESC, name, id;
