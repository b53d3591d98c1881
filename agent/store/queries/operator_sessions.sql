-- name: open_session
WITH opened AS (
    INSERT INTO operator_sessions (operator_id, version, token_hash, address, agent, expires_at)
    SELECT id, version, %(token_hash)s, %(address)s, %(agent)s, now() + make_interval(secs => %(seconds)s)
    FROM operators WHERE id = %(operator)s AND version = %(version)s AND NOT disabled
    RETURNING operator_id
)
UPDATE operators SET signed_in_at = now() FROM opened WHERE operators.id = opened.operator_id

-- name: limit_sessions
DELETE FROM operator_sessions WHERE operator_id = %(operator)s AND id NOT IN (
    SELECT id FROM operator_sessions WHERE operator_id = %(operator)s ORDER BY used_at DESC, id DESC LIMIT %(most)s)

-- name: fetch_session
SELECT
    session.id, operators.name, operators.role, operators.scope_hosts, operators.scope_tags,
    session.used_at < now() - interval '1 minute' AS use_unrecorded
FROM operator_sessions AS session JOIN operators ON operators.id = session.operator_id
WHERE session.token_hash = %(token_hash)s AND session.version = operators.version AND NOT operators.disabled
AND session.expires_at > now() AND session.used_at > now() - make_interval(secs => %(idle)s)

-- name: record_use
UPDATE operator_sessions SET used_at = now() WHERE id = %(session)s AND used_at < now() - interval '1 minute'

-- name: fetch_sessions
SELECT session.id, operators.name AS operator, host(session.address) AS address, session.agent, session.created_at,
    session.used_at, session.expires_at
FROM operator_sessions AS session JOIN operators ON operators.id = session.operator_id
WHERE session.version = operators.version AND NOT operators.disabled AND session.expires_at > now()
AND session.used_at > now() - make_interval(secs => %(idle)s)
AND (%(name)s::text IS NULL OR operators.name = %(name)s)
ORDER BY session.used_at DESC, session.id DESC

-- name: end_session
DELETE FROM operator_sessions USING operators
WHERE operators.id = operator_sessions.operator_id AND operator_sessions.id = %(session)s
AND (%(name)s::text IS NULL OR operators.name = %(name)s)

-- name: end_sessions
DELETE FROM operator_sessions USING operators
WHERE operators.id = operator_sessions.operator_id AND operators.name = %(name)s
AND operator_sessions.id IS DISTINCT FROM %(keep)s::bigint

-- name: forget_sessions
DELETE FROM operator_sessions AS session USING operators
WHERE operators.id = session.operator_id
AND (session.expires_at < now() OR session.version <> operators.version
    OR session.used_at < now() - make_interval(secs => %(idle)s))
