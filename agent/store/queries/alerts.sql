-- What the watcher needs, and what it does: everything in one transaction.

-- name: take_turn
SELECT pg_try_advisory_xact_lock(hashtextextended('lastmile alerts', 0))

-- name: fetch_rules
SELECT id, name, kind, parameters, duration_seconds, clear_seconds, repeat_seconds, severity, enabled, hosts, tags
FROM alert_rules ORDER BY id

-- name: fetch_alive
SELECT id, rule_id, subject_kind, subject, host, state, summary, since, seen_at, cleared_since, notified_at,
    acknowledged_at IS NOT NULL AS acknowledged
FROM alerts WHERE state <> 'closed' ORDER BY id

-- name: fetch_silences
SELECT rule_id, subject_kind, subject, host, until FROM alert_silences WHERE until > now()

-- name: begin_alert
INSERT INTO alerts (rule_id, rule, kind, severity, subject_kind, subject, host, state, summary, value, since, seen_at, opened_at)
VALUES (%(rule_id)s, %(rule)s, %(kind)s, %(severity)s, %(subject_kind)s, %(subject)s, %(host)s, %(state)s, %(summary)s,
    %(value)s, %(at)s, %(at)s, CASE WHEN %(state)s = 'open' THEN %(at)s::timestamptz END)
ON CONFLICT DO NOTHING RETURNING id

-- name: open_alert
UPDATE alerts SET state = 'open', opened_at = %(at)s, seen_at = %(at)s, summary = %(summary)s, value = %(value)s,
    cleared_since = NULL
WHERE id = %(id)s AND state = 'pending'

-- name: renew_alert
UPDATE alerts SET seen_at = %(at)s, summary = %(summary)s, value = %(value)s, cleared_since = NULL
WHERE id = %(id)s AND state <> 'closed'

-- name: begin_clearing
UPDATE alerts SET cleared_since = %(at)s WHERE id = %(id)s AND state = 'open'

-- name: close_alert
UPDATE alerts SET state = 'closed', closed_at = %(at)s WHERE id = %(id)s AND state = 'open'

-- name: drop_alert
DELETE FROM alerts WHERE id = %(id)s AND state = 'pending'

-- name: note_notified
UPDATE alerts SET notified_at = %(at)s WHERE id = %(id)s

-- name: emit_event
SELECT emit_alert_event(%(kind)s, alerts) FROM alerts WHERE id = %(id)s

-- name: fetch_message
SELECT id AS alert_id, rule, kind, severity, subject_kind, subject, host, summary, value, opened_at, closed_at
FROM alerts WHERE id = %(id)s

-- name: fetch_takers
SELECT target.id, target.least_severity FROM alert_targets AS target, alerts
LEFT JOIN alert_rules AS rule ON rule.id = alerts.rule_id
WHERE %(event)s <> 'closed' AND alerts.id = %(id)s AND target.enabled
AND (rule.targets IS NULL OR target.id = ANY(rule.targets))
-- Who was told of the begin is told of the end, whatever has been changed since, and nobody else.
UNION
SELECT target.id, 'info' FROM alert_targets AS target
WHERE %(event)s = 'closed' AND target.enabled AND EXISTS (
    SELECT FROM alert_deliveries WHERE alert_id = %(id)s AND target_id = target.id AND event IN ('opened', 'reminder'))

-- name: fetch_destinations
SELECT target.id AS target_id, target.kind, target.settings, target.secret, target.least_severity
FROM alert_targets AS target, alert_rules AS rule
WHERE rule.id = %(id)s AND target.enabled AND (rule.targets IS NULL OR target.id = ANY(rule.targets))

-- name: add_delivery
INSERT INTO alert_deliveries (target_id, alert_id, event, payload)
VALUES (%(target_id)s, %(alert_id)s, %(event)s, %(payload)s::jsonb) RETURNING id

-- What people ask for.

-- name: fetch_page
SELECT id, rule_id, rule, kind, severity, subject_kind, subject, host, state, summary, value, since, opened_at, closed_at,
    notified_at, acknowledged_at, acknowledged_by, acknowledgement,
    state = 'open' AND EXISTS (
        SELECT FROM alert_silences AS silence WHERE silence.until > now()
        AND (silence.rule_id IS NULL OR silence.rule_id = alerts.rule_id)
        AND (silence.subject IS NULL OR (silence.subject_kind = alerts.subject_kind AND silence.subject = alerts.subject)))
        AS silenced
FROM alerts
WHERE (%(id)s::bigint IS NULL OR id = %(id)s)
AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s::text[]))
AND (%(severities)s::text[] IS NULL OR severity = ANY(%(severities)s::text[]))
AND (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(subject)s::text IS NULL OR subject = %(subject)s)
AND (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
AND CASE
    WHEN subject_kind IN ('modem', 'host') THEN %(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[])
    WHEN subject_kind = 'device' THEN %(scope_tags)s::text[] IS NULL OR EXISTS (
        SELECT FROM devices JOIN device_tags ON device_tags.device_id = devices.id
        WHERE devices.device_id = alerts.subject AND tag = ANY(%(scope_tags)s::text[]))
    ELSE %(scope_hosts)s::text[] IS NULL AND %(scope_tags)s::text[] IS NULL
END
ORDER BY id DESC LIMIT %(limit)s

-- name: count_open
SELECT severity, count(*) AS alerts, count(acknowledged_at) AS acknowledged FROM alerts
WHERE state = 'open' AND CASE
    WHEN subject_kind IN ('modem', 'host') THEN %(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[])
    WHEN subject_kind = 'device' THEN %(scope_tags)s::text[] IS NULL OR EXISTS (
        SELECT FROM devices JOIN device_tags ON device_tags.device_id = devices.id
        WHERE devices.device_id = alerts.subject AND tag = ANY(%(scope_tags)s::text[]))
    ELSE %(scope_hosts)s::text[] IS NULL AND %(scope_tags)s::text[] IS NULL
END
GROUP BY severity

-- name: count_waiting
SELECT count(*) FROM alert_deliveries WHERE state = 'pending'

-- name: acknowledge
UPDATE alerts SET acknowledged_at = coalesce(acknowledged_at, now()), acknowledged_by = %(by)s, acknowledgement = %(note)s
WHERE id = %(id)s AND state = 'open'

-- name: withdraw_acknowledgement
UPDATE alerts SET acknowledged_at = NULL, acknowledged_by = NULL, acknowledgement = NULL
WHERE id = %(id)s AND state = 'open'

-- name: add_silence
INSERT INTO alert_silences (rule_id, subject_kind, subject, host, until, reason, created_by)
VALUES (%(rule_id)s, %(subject_kind)s, %(subject)s, %(host)s, %(until)s, %(reason)s, %(by)s)
RETURNING id

-- name: list_silences
SELECT silence.id, silence.rule_id, rule.name AS rule, silence.subject_kind, silence.subject, silence.until,
    silence.reason, silence.created_by, silence.created_at
FROM alert_silences AS silence LEFT JOIN alert_rules AS rule ON rule.id = silence.rule_id
WHERE silence.until > now() AND (%(id)s::bigint IS NULL OR silence.id = %(id)s)
AND CASE
    WHEN subject_kind IN ('modem', 'host') THEN %(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[])
    WHEN subject_kind = 'device' THEN %(scope_tags)s::text[] IS NULL OR EXISTS (
        SELECT FROM devices JOIN device_tags ON device_tags.device_id = devices.id
        WHERE devices.device_id = silence.subject AND tag = ANY(%(scope_tags)s::text[]))
    ELSE %(scope_hosts)s::text[] IS NULL AND %(scope_tags)s::text[] IS NULL
END
ORDER BY silence.until LIMIT 1000

-- name: end_silence
UPDATE alert_silences SET until = now() WHERE id = %(id)s AND until > now()

-- name: delete_alerts
DELETE FROM alerts WHERE id IN (
    SELECT id FROM alerts WHERE closed_at < now() - make_interval(days => %(days)s) ORDER BY closed_at LIMIT %(rows)s)

-- name: delete_deliveries
DELETE FROM alert_deliveries WHERE id IN (
    SELECT id FROM alert_deliveries WHERE finished_at < now() - make_interval(days => least(%(days)s, 30))
    ORDER BY finished_at LIMIT %(rows)s)

-- name: delete_silences
DELETE FROM alert_silences WHERE until < now() - interval '30 days'

-- name: record_outage
-- The database was away: nothing could be written then.
INSERT INTO alerts (rule_id, rule, kind, severity, subject_kind, subject, state, summary, since, seen_at, opened_at,
    closed_at, notified_at)
SELECT id, name, kind, severity, 'fleet', 'database away', 'closed', %(summary)s, %(since)s, %(at)s, %(since)s, %(at)s,
    %(since)s
FROM alert_rules WHERE id = %(rule_id)s
RETURNING id
