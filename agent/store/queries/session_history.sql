-- name: fetch_open
SELECT
    devices.device_id, devices.serial_number,
    CASE
        WHEN session.discovery OR session.state -> 'discovery' ->> 'origin' <> 'task'
            OR (session.state -> 'discovery' ->> 'tree')::boolean THEN 'discovering'
        ELSE 'active'
    END AS session_status,
    session.batch AS session_batch, session.batches AS session_batches, session.parameters AS session_parameters,
    session.started_at AS session_started_at, session.touched_at AS session_touched_at,
    session.events AS session_events, session.messages AS session_messages, session.worker AS session_worker,
    host(session.peer) AS session_peer
FROM cwmp_sessions AS session JOIN devices ON devices.id = session.device_id
WHERE (%(serial_number)s::text IS NULL OR devices.serial_number = %(serial_number)s)
AND (NOT %(discovering)s OR session.discovery OR session.state -> 'discovery' ->> 'origin' <> 'task'
    OR (session.state -> 'discovery' ->> 'tree')::boolean)
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY session.started_at, devices.device_id LIMIT %(limit)s

-- name: fetch_past
SELECT
    past.id, devices.device_id, past.started_at, past.ended_at, past.inform_events, past.messages_exchanged,
    past.outcome, past.reason, past.parameters, past.worker, host(past.peer) AS peer, past.tag,
    EXISTS (SELECT FROM session_messages AS message WHERE message.device_id = past.device_id AND message.tag = past.tag)
        AS recorded
FROM devices JOIN sessions AS past ON past.device_id = devices.id
WHERE devices.serial_number = %(serial_number)s
AND (%(before_at)s::text IS NULL OR (past.ended_at, past.id) < (%(before_at)s::timestamptz, %(before_id)s))
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY past.ended_at DESC, past.id DESC LIMIT %(limit)s

-- name: fetch_recent
-- Only a stretch of time is looked at: its rows lie together, and the index by time tells which pages have them.
SELECT
    past.id, devices.device_id, past.started_at, past.ended_at, past.inform_events, past.messages_exchanged,
    past.outcome, past.reason, past.parameters, past.worker, host(past.peer) AS peer, past.tag,
    EXISTS (SELECT FROM session_messages AS message WHERE message.device_id = past.device_id AND message.tag = past.tag)
        AS recorded
FROM sessions AS past JOIN devices ON devices.id = past.device_id
WHERE past.ended_at > %(from)s AND past.ended_at <= %(to)s
AND (%(outcomes)s::text[] IS NULL OR past.outcome = ANY(%(outcomes)s::text[]))
AND (%(before_id)s::bigint IS NULL OR (past.ended_at, past.id) < (%(to)s, %(before_id)s))
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY past.ended_at DESC, past.id DESC LIMIT %(limit)s

-- name: knows_serial_number
SELECT EXISTS (SELECT FROM devices WHERE serial_number = %(serial_number)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[]))))

-- name: count_open
SELECT
    count(*) AS active,
    count(*) FILTER (WHERE session.discovery OR session.state -> 'discovery' ->> 'origin' <> 'task'
        OR (session.state -> 'discovery' ->> 'tree')::boolean) AS discovering,
    count(DISTINCT worker) AS active_workers
FROM cwmp_sessions AS session
WHERE (%(scope_tags)s::text[] IS NULL OR session.device_id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[])))

-- name: count_past
SELECT
    outcome, count(*) AS sessions,
    extract(epoch FROM sum(ended_at - started_at))::double precision AS seconds
FROM sessions WHERE ended_at >= %(since)s
AND (%(scope_tags)s::text[] IS NULL OR sessions.device_id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[])))
GROUP BY outcome
