-- name: fetch_devices
SELECT
    devices.device_id, devices.manufacturer, devices.oui, devices.product_class, devices.serial_number, devices.state,
    session.device_id IS NOT NULL OR coalesce(inform.at > now() - make_interval(secs =>
        CASE WHEN devices.inform_interval_seconds > 0 THEN 2.5 * devices.inform_interval_seconds ELSE 3600 END), false)
        AS online,
    host(devices.ip_address) AS ip_address, devices.connection_request_url, devices.software_version,
    devices.hardware_version, devices.inform_interval_seconds, devices.first_seen, inform.at AS last_inform,
    coalesce(inform.events, '{}') AS last_events, devices.parameter_count, devices.discovered_at,
    ARRAY(SELECT tag FROM device_tags WHERE device_tags.device_id = devices.id ORDER BY tag) AS tags,
    (SELECT count(*) FROM faults WHERE faults.device_id = devices.id) AS faults,
    (SELECT count(*) FROM tasks WHERE tasks.device_id = devices.id AND tasks.status = 'pending') AS pending_tasks,
    CASE
        WHEN session.device_id IS NULL THEN 'idle'
        WHEN session.discovery OR session.state -> 'discovery' ->> 'origin' <> 'task'
            OR (session.state -> 'discovery' ->> 'tree')::boolean THEN 'discovering'
        ELSE 'active'
    END AS session_status,
    coalesce(session.batch, 0) AS session_batch, coalesce(session.batches, 0) AS session_batches,
    coalesce(session.parameters, 0) AS session_parameters, session.started_at AS session_started_at,
    session.touched_at AS session_touched_at, coalesce(session.events, '{}') AS session_events,
    coalesce(session.messages, 0) AS session_messages, session.worker AS session_worker,
    host(session.peer) AS session_peer
FROM unnest(%(device_ids)s::text[]) WITH ORDINALITY AS wanted (device_id, place)
JOIN devices ON devices.device_id = wanted.device_id
LEFT JOIN device_informs AS inform ON inform.device_id = devices.id
LEFT JOIN cwmp_sessions AS session ON session.device_id = devices.id
WHERE (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY wanted.place

-- The pieces of the page of a list (agent.store.device_query puts them together).

-- name: from_devices
FROM devices
LEFT JOIN device_informs AS inform ON inform.device_id = devices.id
LEFT JOIN cwmp_sessions AS session ON session.device_id = devices.id

-- name: where_serial_number
devices.serial_number = %(serial_number)s

-- name: where_oui
devices.oui = %(oui)s

-- name: where_product_class
devices.product_class = %(product_class)s

-- name: where_manufacturer
devices.manufacturer = %(manufacturer)s

-- name: where_software_version
devices.software_version = %(software_version)s

-- name: where_state
devices.state = ANY(%(states)s::text[])

-- name: where_online
(session.device_id IS NOT NULL OR coalesce(inform.at > now() - make_interval(secs =>
    CASE WHEN devices.inform_interval_seconds > 0 THEN 2.5 * devices.inform_interval_seconds ELSE 3600 END), false))
    = %(online)s

-- name: where_tags
devices.id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(tags)s::text[])
    GROUP BY device_id HAVING count(*) = cardinality(%(tags)s::text[]))

-- name: where_scope
devices.id IN (SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[]))

-- name: sort_device_id
devices.device_id

-- name: sort_serial_number
devices.serial_number

-- name: sort_last_inform
coalesce(inform.at, '-infinity')

-- name: sort_first_seen
devices.first_seen

-- name: sort_software_version
coalesce(devices.software_version, '')

-- name: sort_product_class
devices.product_class

-- name: set_state
UPDATE devices SET state = %(state)s WHERE device_id = %(device_id)s AND state <> %(state)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: emit_event
SELECT emit_device_event(%(kind)s, %(device_id)s, %(payload)s::jsonb)

-- name: has_session
SELECT EXISTS (SELECT FROM cwmp_sessions WHERE device_id = (SELECT id FROM devices WHERE device_id = %(device_id)s))

-- name: delete_device
DELETE FROM devices WHERE device_id = %(device_id)s
AND NOT EXISTS (SELECT FROM cwmp_sessions WHERE cwmp_sessions.device_id = devices.id)
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: lock_device
SELECT id FROM devices WHERE device_id = %(device_id)s AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
FOR NO KEY UPDATE

-- name: fetch_tags
SELECT tag FROM device_tags WHERE device_id = %(device)s ORDER BY tag

-- name: add_tags
INSERT INTO device_tags (device_id, tag) SELECT %(device)s, tag FROM unnest(%(tags)s::text[]) AS tag
ON CONFLICT DO NOTHING

-- name: remove_tags
DELETE FROM device_tags WHERE device_id = %(device)s AND tag = ANY(%(tags)s::text[])

-- name: keep_tags
DELETE FROM device_tags WHERE device_id = %(device)s AND tag <> ALL(%(tags)s::text[])
