-- name: lock_device
SELECT id FROM devices WHERE device_id = %(device_id)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
FOR KEY SHARE

-- name: lock_file
SELECT id FROM files WHERE name = %(name)s FOR KEY SHARE

-- name: count_pending
SELECT count(*) FROM tasks WHERE device_id = %(device)s AND status = 'pending'

-- name: create_task
INSERT INTO tasks (device_id, kind, arguments, priority, created_by, expires_at)
VALUES (%(device)s, %(kind)s, %(arguments)s::jsonb, %(priority)s, %(created_by)s, %(expires_at)s)
RETURNING id

-- name: fetch_task
SELECT
    tasks.id, devices.device_id, kind, arguments::text AS arguments, priority, status, created_by, created_at,
    nullif(not_before, '-infinity') AS not_before, expires_at, attempts, sent_at, awaits_transfer, completed_at,
    result::text AS result, fault_code, fault_message
FROM tasks JOIN devices ON devices.id = tasks.device_id
WHERE tasks.id = %(task)s AND (%(device_id)s::text IS NULL OR devices.device_id = %(device_id)s)
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: fetch_tasks
SELECT
    tasks.id, devices.device_id, kind, arguments::text AS arguments, priority, status, created_by, created_at,
    nullif(not_before, '-infinity') AS not_before, expires_at, attempts, sent_at, awaits_transfer, completed_at,
    result::text AS result, fault_code, fault_message
FROM devices JOIN tasks ON tasks.device_id = devices.id
WHERE devices.device_id = %(device_id)s
AND (%(before_id)s::bigint IS NULL OR tasks.id < %(before_id)s)
AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY tasks.id DESC LIMIT %(limit)s

-- name: cancel_task
UPDATE tasks SET status = 'cancelled', completed_at = now(), awaits_transfer = false
FROM devices
WHERE devices.id = tasks.device_id AND devices.device_id = %(device_id)s AND tasks.id = %(task)s
AND tasks.status IN ('pending', 'sent')
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: delete_fault_of_task
DELETE FROM faults USING devices
WHERE devices.id = faults.device_id AND devices.device_id = %(device_id)s AND faults.channel = %(channel)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

