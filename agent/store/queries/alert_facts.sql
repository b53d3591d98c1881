-- name: fetch_modems
SELECT modems.serial, modems.host, modems.slot, modems.path IS NOT NULL AS present, modems.enabled, modems.status, modems.reason,
    modems.registration, modems.rsrp_dbm, modems.rsrq_db, modems.sinr_db, host(modems.wan_address) AS wan_address,
    rotation.finished_at AS rotated_at, host(before.address) AS address_before, hosts.last_seen AS host_seen_at
FROM modems JOIN hosts ON hosts.name = modems.host
LEFT JOIN LATERAL (
    SELECT requested_at, finished_at FROM modem_commands
    WHERE modem_commands.serial = modems.serial AND kind = 'reconnect' AND state = 'done'
    AND requested_at > now() - interval '8 days'
    ORDER BY id DESC LIMIT 1
) AS rotation ON true
LEFT JOIN LATERAL (
    SELECT address FROM address_history
    WHERE address_history.serial = modems.serial AND family(address) = 4 AND valid_from <= rotation.requested_at
    ORDER BY id DESC LIMIT 1
) AS before ON true
ORDER BY modems.serial

-- name: fetch_hosts
SELECT name, last_seen AS seen_at, (SELECT count(*) FROM modems WHERE modems.host = hosts.name) AS modems
FROM hosts ORDER BY name

-- name: count_overdue
SELECT count(*) FROM devices JOIN device_informs AS inform ON inform.device_id = devices.id
WHERE devices.state = 'accepted'
AND inform.at < now() - make_interval(secs => greatest(%(seconds)s, %(intervals)s * coalesce(devices.inform_interval_seconds, 0)))
AND (%(tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(tags)s::text[])))

-- name: fetch_overdue
-- Those that there are alerts of already, then the others.
SELECT devices.device_id, inform.at AS last_inform
FROM devices JOIN device_informs AS inform ON inform.device_id = devices.id
LEFT JOIN alerts ON alerts.rule_id = %(rule_id)s AND alerts.subject_kind = 'device' AND alerts.subject = devices.device_id
    AND alerts.state <> 'closed'
WHERE devices.state = 'accepted'
AND inform.at < now() - make_interval(secs => greatest(%(seconds)s, %(intervals)s * coalesce(devices.inform_interval_seconds, 0)))
AND (%(tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(tags)s::text[])))
ORDER BY alerts.id IS NULL, devices.device_id LIMIT %(limit)s

-- name: count_new_faults
SELECT count(*) FROM faults JOIN devices ON devices.id = faults.device_id
WHERE faults.at > now() - make_interval(secs => %(minutes)s * 60)
AND (%(tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(tags)s::text[])))

-- name: count_due_tasks
SELECT count(*) FROM tasks WHERE status = 'pending' AND not_before <= now() AND expires_at > now()
AND (%(tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = tasks.device_id AND tag = ANY(%(tags)s::text[])))

-- name: fetch_database
SELECT
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type IS NULL OR backend_type = 'client backend')::integer
        AS connections_used,
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
        - coalesce(nullif(current_setting('reserved_connections', true), '')::integer, 0) AS connections_most,
    coalesce((
        SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'), 0)::float8
        AS transaction_seconds
