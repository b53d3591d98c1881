-- name: write_audit
INSERT INTO audit_log (principal, kind, role, address, action, target, details, before, outcome)
VALUES (%(principal)s, %(kind)s, %(role)s, %(address)s, %(action)s, %(target)s, %(details)s::jsonb, %(before)s::jsonb,
    %(outcome)s)
RETURNING id

-- name: write_outcome
INSERT INTO audit_outcomes (audit_id, outcome, code, after) VALUES (%(id)s, %(outcome)s, %(code)s, %(after)s::jsonb)

-- name: fetch_audit
SELECT
    log.id, log.at, log.principal, log.kind, log.role, host(log.address) AS address, log.action, log.target,
    log.details::text AS details, log.before::text AS before, ended.after::text AS after,
    coalesce(ended.outcome, log.outcome, 'unknown') AS outcome, coalesce(ended.code, '') AS code
FROM audit_log AS log
LEFT JOIN LATERAL (
    SELECT outcome, code, after FROM audit_outcomes
    WHERE audit_id = log.id AND at BETWEEN log.at - interval '1 minute' AND log.at + interval '1 day'
    ORDER BY at LIMIT 1
) AS ended ON true
WHERE (%(before_id)s::bigint IS NULL OR log.id < %(before_id)s)
AND (%(principal)s::text IS NULL OR log.principal = %(principal)s)
AND (%(action)s::text IS NULL OR log.action = %(action)s OR starts_with(log.action, %(action)s::text || '.'))
AND (%(target)s::text IS NULL OR log.target = %(target)s)
AND (%(since)s::timestamptz IS NULL OR log.at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR log.at < %(until)s)
AND (%(outcome)s::text IS NULL OR coalesce(ended.outcome, log.outcome, 'unknown') = %(outcome)s)
AND (%(text)s::text IS NULL OR strpos(lower(concat_ws(' ', log.principal, log.action, log.target, log.details::text,
    log.before::text, ended.after::text)), lower(%(text)s)) > 0)
ORDER BY log.id DESC LIMIT %(limit)s

-- name: maintain_audit_partitions
SELECT maintain_audit_partitions(%(days)s)
