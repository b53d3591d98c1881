-- name: list
SELECT id, name, kind, settings, secret, least_severity, enabled, created_by, created_at, updated_at,
    (SELECT count(*) FROM alert_deliveries WHERE target_id = alert_targets.id AND state = 'pending') AS waiting,
    last.at AS last_at, last.state AS last_state, last.reason AS last_reason
FROM alert_targets LEFT JOIN LATERAL (
    SELECT finished_at AS at, state, reason FROM alert_deliveries
    WHERE target_id = alert_targets.id AND state <> 'pending' ORDER BY id DESC LIMIT 1
) AS last ON true
WHERE (%(id)s::bigint IS NULL OR alert_targets.id = %(id)s) ORDER BY name

-- name: add
INSERT INTO alert_targets (name, kind, settings, secret, least_severity, enabled, created_by)
VALUES (%(name)s, %(kind)s, %(settings)s::jsonb, %(secret)s, %(least_severity)s, %(enabled)s, %(by)s) RETURNING id

-- name: change
UPDATE alert_targets SET name = %(name)s, settings = %(settings)s::jsonb, secret = coalesce(%(secret)s, secret),
    least_severity = %(least_severity)s, enabled = %(enabled)s, updated_at = now()
WHERE id = %(id)s

-- name: remove
DELETE FROM alert_targets WHERE id = %(id)s

-- name: forget_in_rules
UPDATE alert_rules SET targets = array_remove(targets, %(id)s) WHERE targets @> ARRAY[%(id)s::bigint]

-- name: list_deliveries
SELECT id, target_id, alert_id, event, state, attempts, reason, created_at, finished_at
FROM alert_deliveries
WHERE target_id = %(target_id)s AND (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: fetch_delivery
SELECT id, target_id, alert_id, event, state, attempts, reason, created_at, finished_at
FROM alert_deliveries WHERE id = %(id)s

-- name: add_test
INSERT INTO alert_deliveries (target_id, event, payload) VALUES (%(target_id)s, 'test', %(payload)s::jsonb) RETURNING id
