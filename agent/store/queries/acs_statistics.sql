-- name: count_devices
SELECT
    devices.state,
    session.device_id IS NOT NULL OR coalesce(inform.at > now() - make_interval(secs =>
        CASE WHEN devices.inform_interval_seconds > 0 THEN 2.5 * devices.inform_interval_seconds ELSE 3600 END), false)
        AS online,
    count(*) AS devices, count(devices.discovered_at) AS discovered
FROM devices
LEFT JOIN device_informs AS inform ON inform.device_id = devices.id
LEFT JOIN cwmp_sessions AS session ON session.device_id = devices.id
WHERE (%(scope_tags)s::text[] IS NULL OR devices.id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[])))
GROUP BY 1, 2

-- name: count_tasks
SELECT status, count(*) AS tasks FROM tasks
WHERE (%(scope_tags)s::text[] IS NULL OR tasks.device_id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[])))
GROUP BY status

-- name: count_faults
SELECT count(*) FROM faults
WHERE (%(scope_tags)s::text[] IS NULL OR faults.device_id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[])))
