-- name: fetch_faults
SELECT faults.id, devices.device_id, channel, code, message, detail::text AS detail, at, retries, retry_at
FROM faults JOIN devices ON devices.id = faults.device_id
WHERE (%(device_id)s::text IS NULL OR devices.device_id = %(device_id)s)
AND (%(code)s::text IS NULL OR code = %(code)s)
AND (%(before_id)s::bigint IS NULL OR faults.id < %(before_id)s)
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
ORDER BY faults.id DESC LIMIT %(limit)s

-- name: fetch_fault
SELECT faults.id, devices.device_id, channel, code, message, detail::text AS detail, at, retries, retry_at
FROM faults JOIN devices ON devices.id = faults.device_id WHERE faults.id = %(fault)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: fetch_fault_of_task
SELECT faults.id, devices.device_id, channel, code, message, detail::text AS detail, at, retries, retry_at
FROM faults JOIN devices ON devices.id = faults.device_id
WHERE devices.device_id = %(device_id)s AND channel = %(channel)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: discover_now
UPDATE devices SET discovery_not_before = '-infinity' WHERE device_id = %(device_id)s

-- name: delete_fault
DELETE FROM faults WHERE id = %(fault)s AND channel = %(channel)s

-- name: try_now
UPDATE tasks SET not_before = '-infinity' FROM devices
WHERE devices.id = tasks.device_id AND devices.device_id = %(device_id)s AND tasks.id = %(task)s
AND tasks.status = 'pending'

-- name: emit_event
SELECT emit_device_event('fault_deleted', %(device_id)s, jsonb_build_object('channel', %(channel)s::text))
