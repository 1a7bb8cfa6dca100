-- The newest tokens of the account. LIMIT makes one request, not the whole listing.
SELECT id, name, origin, scopes[1].type AS scope
FROM vercel.authentication.user_tokens
LIMIT 5;

-- One token. A filter on its id, or on tokenId = 'current', becomes one request.
SELECT name, type, tokenId
FROM vercel.authentication.user_tokens
WHERE tokenId = 'current';

-- An audit: how many working tokens never expire, have leaked, or are idle?
-- Browser sessions are left out: revoking one logs a person out.
SELECT count(*) AS working,
       count(*) FILTER (never_expires) AS never_expire,
       count(*) FILTER (is_leaked) AS leaked,
       count(*) FILTER (never_used) AS never_used,
       count(*) FILTER (idle_days > 180) AS idle_half_a_year
FROM vercel.audit.user_tokens
WHERE is_working AND NOT is_session;

-- The leaked ones, with the team that each can reach: tables join like any others.
SELECT u.name, u.leaked_at, coalesce(t.slug, 'the whole account') AS reaches
FROM vercel.audit.user_tokens AS u, unnest(u.scopes) AS s(scope)
LEFT JOIN vercel.teams.teams AS t ON t.id = s.scope.teamId
WHERE u.is_leaked AND u.is_working AND NOT u.is_session
ORDER BY u.leaked_at;

-- What would an INSERT send? EXPLAIN shows it, and changes nothing.
EXPLAIN INSERT INTO vercel.authentication.user_tokens (name, expiresAt)
SELECT 'nightly report', DATE '2099-01-01';

-- INSERT creates the token. Its secret, bearerToken, is shown only this once.
INSERT INTO vercel.authentication.user_tokens (name, expiresAt)
SELECT 'nightly report', DATE '2099-01-01'
RETURNING bearerToken, id;

-- DELETE revokes. EXPLAIN first: which rows, which requests?
EXPLAIN DELETE FROM vercel.authentication.user_tokens
WHERE id = $made;

-- Then for real.
DELETE FROM vercel.authentication.user_tokens
WHERE id = $made
RETURNING name, id;

-- A predicate that matches the token of these very calls does not delete it.
-- refused
DELETE FROM vercel.authentication.user_tokens
WHERE name LIKE 'simulated%';

-- EXEC calls any method of the API: this one starts a login by email.
EXEC vercel.authentication.user_tokens.email_login @email = 'ada@example.com';

-- All methods.
SHOW METHODS IN vercel.authentication.user_tokens;
