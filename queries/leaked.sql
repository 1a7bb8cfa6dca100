-- Leaked or revoked tokens
--
-- Answers: Which tokens were found in a public place, or were revoked, and which of them still work?
-- Parameter: only_working BOOLEAN = false -- true leaves out what was revoked or has expired, so
--   that a schedule which fails on rows is content once all is dealt with
-- Parameter: sessions BOOLEAN = false -- true brings in browser sessions that were revoked; those
--   that leaked are always here
-- On a hit: Revoke what still works, now, and rotate it wherever it is used. Then look up what was
--   done with it since leaked_at, and take it out of the place at leaked_url.
-- Chart: timeline leaked_at, name
SELECT
    name,
    is_working IS NOT FALSE AS still_works,
    leaked_at,
    leaked_url,
    revoked_at,
    expires_at,
    if(never_used, NULL, active_at) AS last_used_at,
    has_user_scope,
    has_sudo,
    team_count,
    origin,
    suffix,
    is_session,
    is_current,
    id
FROM vercel.audit.user_tokens
WHERE coalesce(is_leaked OR is_revoked, true)  -- what can't be read may be a leak
  AND (
      NOT coalesce(getvariable('only_working'), false)
      OR is_working IS NOT FALSE
  )
  -- To end a session that leaked is what its person wants as well.
  AND (
      coalesce(getvariable('sessions'), false)
      OR is_session IS NOT TRUE
      OR is_leaked IS NOT FALSE
  )
ORDER BY still_works DESC, coalesce(leaked_at, revoked_at) DESC NULLS LAST, name, id;
