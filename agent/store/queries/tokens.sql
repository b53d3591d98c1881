-- name: create_token
INSERT INTO api_tokens (name, role, token_hash, expires_at, scope_hosts, scope_tags, created_by)
VALUES (%(name)s, %(role)s, %(token_hash)s, %(expires_at)s, %(scope_hosts)s, %(scope_tags)s, %(created_by)s)

-- name: fetch_live_token
SELECT
    name, role, scope_hosts, scope_tags, token_hash,
    last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS use_unrecorded
FROM api_tokens
WHERE token_hash = %(token_hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: fetch_live_name
SELECT name, role, scope_hosts, scope_tags FROM api_tokens
WHERE name = %(name)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: record_use
UPDATE api_tokens SET last_used_at = now()
WHERE token_hash = %(token_hash)s AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')

-- name: fetch_tokens
SELECT name, role, scope_hosts, scope_tags, created_by, created_at, expires_at, last_used_at, revoked_at FROM api_tokens ORDER BY name

-- name: revoke_token
UPDATE api_tokens SET revoked_at = now() WHERE name = %(name)s AND revoked_at IS NULL
