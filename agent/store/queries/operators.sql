-- name: fetch_operators
SELECT
    operators.id, name, role, scope_hosts, scope_tags, password_hash IS NOT NULL AS has_password,
    totp_confirmed AS has_totp, disabled, operators.version, operators.created_at, password_changed_at, signed_in_at,
    (SELECT count(*) FROM operator_sessions AS session
        WHERE session.operator_id = operators.id AND session.version = operators.version
        AND session.expires_at > now()) AS sessions,
    (SELECT count(*) FROM operator_recovery_codes AS code WHERE code.operator_id = operators.id) AS recovery_codes
FROM operators
WHERE %(name)s::text IS NULL OR name = %(name)s
ORDER BY name

-- name: fetch_secrets
SELECT id, name, password_hash, totp_secret, totp_confirmed, disabled, version FROM operators WHERE name = %(name)s

-- name: create_operator
INSERT INTO operators (name, role, scope_hosts, scope_tags, password_hash, password_changed_at)
VALUES (%(name)s, %(role)s, %(scope_hosts)s, %(scope_tags)s, %(password_hash)s,
    CASE WHEN %(password_hash)s::text IS NOT NULL THEN now() END)
RETURNING id

-- name: lock_admins
-- Everybody who could take away the last admin comes here first.
SELECT name FROM operators WHERE role = 'admin' AND NOT disabled ORDER BY id FOR UPDATE

-- name: change_operator
UPDATE operators SET
    role = %(role)s, scope_hosts = %(scope_hosts)s, scope_tags = %(scope_tags)s, disabled = %(disabled)s,
    version = version + 1
WHERE name = %(name)s
AND (role, scope_hosts, scope_tags, disabled)
    IS DISTINCT FROM (%(role)s, %(scope_hosts)s::text[], %(scope_tags)s::text[], %(disabled)s)

-- name: remove_operator
DELETE FROM operators WHERE name = %(name)s

-- name: set_password
UPDATE operators SET password_hash = %(password_hash)s, password_changed_at = now(), version = version + 1
WHERE name = %(name)s

-- name: rehash_password
UPDATE operators SET password_hash = %(password_hash)s WHERE id = %(operator)s AND password_hash = %(old_hash)s

-- name: has_admin
SELECT EXISTS (SELECT FROM operators WHERE role = 'admin' AND NOT disabled AND password_hash IS NOT NULL)

-- name: begin_totp
UPDATE operators SET totp_secret = %(secret)s, totp_counter = 0 WHERE name = %(name)s AND NOT totp_confirmed

-- name: use_totp
UPDATE operators SET totp_counter = %(counter)s, totp_confirmed = true
WHERE id = %(operator)s AND totp_secret = %(secret)s AND totp_counter < %(counter)s

-- name: end_totp
UPDATE operators SET totp_secret = NULL, totp_confirmed = false, totp_counter = 0, version = version + 1
WHERE name = %(name)s AND totp_secret IS NOT NULL

-- name: add_recovery_codes
INSERT INTO operator_recovery_codes (operator_id, code_hash) SELECT %(operator)s, unnest(%(codes)s::bytea[])

-- name: drop_recovery_codes
DELETE FROM operator_recovery_codes WHERE operator_id = (SELECT id FROM operators WHERE name = %(name)s)

-- name: use_recovery_code
DELETE FROM operator_recovery_codes WHERE operator_id = %(operator)s AND code_hash = %(code)s

-- name: fetch_version
SELECT name, role, scope_hosts, scope_tags FROM operators
WHERE name = %(name)s AND version = %(version)s AND NOT disabled
