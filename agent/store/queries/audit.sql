-- name: write_audit
INSERT INTO audit_log (principal, role, action, target, details)
VALUES (%(principal)s, %(role)s, %(action)s, %(target)s, %(details)s::jsonb)

-- name: fetch_audit
SELECT id, at, principal, role, action, target, details::text AS details
FROM audit_log WHERE %(before_id)s::bigint IS NULL OR id < %(before_id)s
ORDER BY id DESC LIMIT %(limit)s
