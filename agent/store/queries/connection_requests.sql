-- name: ask_device
INSERT INTO connection_requests AS request (device_id, requested_by) VALUES (%(device)s, %(requested_by)s)
ON CONFLICT (device_id) WHERE state IN ('pending', 'asked') DO UPDATE SET
    next_at = CASE WHEN request.state = 'pending' THEN least(request.next_at, now()) ELSE request.next_at END
RETURNING id

-- name: find_device
SELECT id FROM devices WHERE device_id = %(device_id)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
FOR KEY SHARE

-- name: fetch_request
SELECT
    request.id, devices.device_id, request.state, reason, requested_by, requested_at, attempts, finished_at
FROM connection_requests AS request JOIN devices ON devices.id = request.device_id
WHERE request.id = %(request)s
