-- name: fetch
SELECT recording.until, recording.bytes_left, recording.created_by, recording.created_at
FROM session_recordings AS recording JOIN devices ON devices.id = recording.device_id
WHERE devices.device_id = %(device_id)s AND recording.until > now() AND recording.bytes_left > 0

-- name: start
INSERT INTO session_recordings AS known (device_id, until, bytes_left, created_by)
SELECT id, %(until)s, %(bytes)s, %(by)s FROM devices WHERE device_id = %(device_id)s
ON CONFLICT (device_id) DO UPDATE SET
    until = excluded.until, bytes_left = excluded.bytes_left, created_by = excluded.created_by, created_at = now()

-- name: stop
DELETE FROM session_recordings USING devices
WHERE devices.id = session_recordings.device_id AND devices.device_id = %(device_id)s

-- name: announce
SELECT pg_notify('session_recording', '')

-- name: fetch_active
SELECT device_id, until FROM session_recordings WHERE until > now() AND bytes_left > 0

-- name: save
WITH budget AS (
    UPDATE session_recordings SET bytes_left = bytes_left - %(bytes)s
    WHERE device_id = %(device)s AND until > now() AND bytes_left > 0 RETURNING device_id
)
INSERT INTO session_messages (device_id, tag, sender, method, http_status, body, size)
SELECT budget.device_id, %(tag)s, message.sender, message.method, message.http_status, message.body, message.size
FROM budget CROSS JOIN unnest(%(senders)s::text[], %(methods)s::text[], %(statuses)s::smallint[], %(bodies)s::text[],
    %(sizes)s::integer[]) WITH ORDINALITY AS message (sender, method, http_status, body, size, place)
ORDER BY message.place

-- name: fetch_recorded
SELECT message.tag, min(message.at) AS first_at, max(message.at) AS last_at, count(*) AS messages,
    sum(message.size) AS size
FROM session_messages AS message JOIN devices ON devices.id = message.device_id
WHERE devices.device_id = %(device_id)s GROUP BY message.tag ORDER BY min(message.id) DESC LIMIT %(limit)s

-- name: fetch_messages
SELECT message.id, message.at, message.sender, message.method, message.http_status, message.body, message.size
FROM session_messages AS message JOIN devices ON devices.id = message.device_id
WHERE devices.device_id = %(device_id)s AND message.tag = %(tag)s AND message.id > %(after_id)s
ORDER BY message.id LIMIT %(limit)s

-- name: delete_of_device
DELETE FROM session_messages USING devices
WHERE devices.id = session_messages.device_id AND devices.device_id = %(device_id)s
