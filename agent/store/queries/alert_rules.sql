-- name: list
SELECT id, name, kind, parameters, duration_seconds, clear_seconds, repeat_seconds, severity, enabled, hosts, tags, targets,
    created_by, created_at, updated_at,
    (SELECT count(*) FROM alerts WHERE alerts.rule_id = alert_rules.id AND alerts.state = 'open') AS open_alerts
FROM alert_rules WHERE (%(id)s::bigint IS NULL OR id = %(id)s) ORDER BY name

-- name: add
INSERT INTO alert_rules (name, kind, parameters, duration_seconds, clear_seconds, repeat_seconds, severity, enabled, hosts,
    tags, targets, created_by)
VALUES (%(name)s, %(kind)s, %(parameters)s::jsonb, %(duration_seconds)s, %(clear_seconds)s, %(repeat_seconds)s, %(severity)s,
    %(enabled)s, %(hosts)s, %(tags)s, %(targets)s, %(by)s)
RETURNING id

-- name: change
UPDATE alert_rules SET name = %(name)s, kind = %(kind)s, parameters = %(parameters)s::jsonb,
    duration_seconds = %(duration_seconds)s, clear_seconds = %(clear_seconds)s, repeat_seconds = %(repeat_seconds)s,
    severity = %(severity)s, enabled = %(enabled)s, hosts = %(hosts)s, tags = %(tags)s, targets = %(targets)s,
    updated_at = now()
WHERE id = %(id)s

-- name: remove
DELETE FROM alert_rules WHERE id = %(id)s

-- name: find_missing_targets
SELECT wanted FROM unnest(%(targets)s::bigint[]) AS wanted WHERE wanted NOT IN (SELECT id FROM alert_targets)
