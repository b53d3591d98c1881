-- name: blocked_for
SELECT extract(epoch FROM max(blocked_until) - now())::float8 FROM sign_in_attempts
WHERE key = ANY(%(keys)s::bytea[]) AND blocked_until > now()

-- name: count_attempt
-- Counted, and the door closed, before the password is looked at: many at once get no more tries than one by one.
INSERT INTO sign_in_attempts AS known (key, failures, failed_at)
SELECT key, 1, now() FROM unnest(%(keys)s::bytea[]) AS key ORDER BY key
ON CONFLICT (key) DO UPDATE SET
    (failures, failed_at, blocked_until) = (
        SELECT count, now(), CASE WHEN count < free THEN '-infinity'::timestamptz
            ELSE now() + make_interval(secs => least(%(most)s, %(first)s * power(2, least(count - free, 20)))) END
        FROM (SELECT
            CASE WHEN known.failed_at < now() - make_interval(secs => %(memory)s) THEN 1 ELSE known.failures + 1 END AS count,
            (SELECT wanted.free FROM unnest(%(keys)s::bytea[], %(free)s::integer[]) AS wanted (key, free)
                WHERE wanted.key = known.key) AS free) AS counted)
WHERE known.blocked_until <= now()
RETURNING key

-- name: forgive
UPDATE sign_in_attempts SET failures = greatest(0, failures - 1), blocked_until = '-infinity' WHERE key = %(key)s

-- name: forget
DELETE FROM sign_in_attempts WHERE key = %(key)s

-- name: forget_old
DELETE FROM sign_in_attempts WHERE failed_at < now() - make_interval(secs => %(memory)s) AND blocked_until <= now()

-- name: create_link
INSERT INTO setup_links (token_hash, operator_id, created_by, expires_at)
VALUES (%(token_hash)s, (SELECT id FROM operators WHERE name = %(name)s), %(created_by)s,
    now() + make_interval(secs => %(seconds)s))

-- name: drop_links
DELETE FROM setup_links WHERE expires_at < now()
OR operator_id IS NOT DISTINCT FROM (SELECT id FROM operators WHERE name = %(name)s)

-- name: fetch_link
SELECT operators.name, setup_links.created_by, setup_links.expires_at
FROM setup_links LEFT JOIN operators ON operators.id = setup_links.operator_id
WHERE token_hash = %(token_hash)s AND expires_at > now()

-- name: has_first_link
SELECT EXISTS (SELECT FROM setup_links WHERE operator_id IS NULL AND expires_at > now())

-- name: use_link
DELETE FROM setup_links WHERE token_hash = %(token_hash)s AND expires_at > now()

-- name: newest_key
SELECT id, key, created_at < now() - make_interval(days => %(days)s) AS old FROM signing_keys ORDER BY id DESC LIMIT 1

-- name: fetch_key
SELECT key FROM signing_keys WHERE id = %(id)s

-- name: lock_keys
LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE

-- name: add_key
INSERT INTO signing_keys (key) VALUES (%(key)s) RETURNING id

-- name: drop_keys
DELETE FROM signing_keys WHERE created_at < now() - make_interval(days => %(days)s)
