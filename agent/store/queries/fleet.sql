-- name: fetch_modems
SELECT
    serial, host, slot, path, interface, proxy_port, uid, fib_table, status, reason, enabled, apn,
    imei, iccid, imsi, model, revision, operator, access_technology, registration,
    rssi_dbm, rsrp_dbm, rsrq_db, sinr_db,
    host(wan_address) AS wan_address, host(wan_address_ipv6) AS wan_address_ipv6,
    proxy_running, rx_bytes, tx_bytes, modems.first_seen, modems.last_seen, changed_at, reported_at,
    host(hosts.proxy_listen) AS proxy_listen
FROM modems JOIN hosts ON hosts.name = modems.host
WHERE (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[]))
ORDER BY host, proxy_port

-- name: fetch_modem
SELECT
    serial, host, slot, path, interface, proxy_port, uid, fib_table, status, reason, enabled, apn,
    imei, iccid, imsi, model, revision, operator, access_technology, registration,
    rssi_dbm, rsrp_dbm, rsrq_db, sinr_db,
    host(wan_address) AS wan_address, host(wan_address_ipv6) AS wan_address_ipv6,
    proxy_running, rx_bytes, tx_bytes, modems.first_seen, modems.last_seen, changed_at, reported_at,
    host(hosts.proxy_listen) AS proxy_listen
FROM modems JOIN hosts ON hosts.name = modems.host
WHERE serial = %(serial)s
AND (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[]))

-- name: set_enabled
UPDATE modems SET enabled = %(enabled)s WHERE serial = %(serial)s
AND (%(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[]))

-- name: fetch_hosts
SELECT
    name, version, pid, host(proxy_listen) AS proxy_listen, started_at, last_seen,
    (SELECT count(*) FROM modems WHERE modems.host = hosts.name) AS modems, notices
FROM hosts WHERE (%(scope_hosts)s::text[] IS NULL OR hosts.name = ANY(%(scope_hosts)s::text[]))
ORDER BY name

-- name: fetch_agent
SELECT
    hosts.name AS host,
    extract(epoch FROM now() - hosts.last_seen)::float8 AS silent_seconds,
    EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (classid::bigint << 32) | objid::bigint = hashtextextended('lastmile agent ' || hosts.name, 0)
    ) AS holds_lock
FROM modems JOIN hosts ON hosts.name = modems.host
WHERE serial = %(serial)s
AND (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[]))

-- name: fetch_logs
SELECT id, at, host, serial, channel, command, response, outcome, duration_seconds
FROM modem_logs
WHERE serial = %(serial)s AND (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
AND (%(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[]))
ORDER BY id DESC LIMIT %(limit)s

-- name: fetch_samples
SELECT * FROM (
    SELECT serial, at, status, access_technology, rssi_dbm, rsrp_dbm, rsrq_db, sinr_db, rx_bytes, tx_bytes
    FROM modem_samples WHERE serial = %(serial)s AND at >= %(since)s
    AND EXISTS (SELECT FROM modems WHERE modems.serial = modem_samples.serial AND (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[])))
    ORDER BY at DESC LIMIT %(limit)s
) AS newest ORDER BY at

-- name: fetch_addresses
SELECT serial, host(address) AS address, valid_from, valid_until
FROM address_history WHERE serial = %(serial)s
AND EXISTS (SELECT FROM modems WHERE modems.serial = address_history.serial AND (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[])))
ORDER BY id DESC LIMIT %(limit)s

-- name: fetch_events
SELECT id, at, kind, serial, host, device_id, payload::text AS payload
FROM events WHERE id > %(after_id)s
AND CASE
    WHEN device_id IS NULL THEN %(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[])
    ELSE %(scope_tags)s::text[] IS NULL OR payload -> 'tags' ?| %(scope_tags)s::text[] OR EXISTS (
        SELECT FROM devices JOIN device_tags ON device_tags.device_id = devices.id
        WHERE devices.device_id = events.device_id AND tag = ANY(%(scope_tags)s::text[]))
END
ORDER BY id LIMIT %(limit)s

-- name: latest_event_id
SELECT coalesce(max(id), 0) FROM events

-- name: submit_command
INSERT INTO modem_commands (serial, kind, argument, requested_by, expires_at)
SELECT serial, %(kind)s, %(argument)s::jsonb, %(requested_by)s, now() + make_interval(secs => %(timeout_seconds)s)
FROM modems WHERE serial = %(serial)s
AND (%(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[]))
RETURNING id

-- name: fetch_command
SELECT
    id, serial, kind, argument::text AS argument, state, result::text AS result, error_code, error_message,
    requested_by, requested_at, expires_at, finished_at
FROM modem_commands WHERE id = %(id)s
AND EXISTS (SELECT FROM modems WHERE modems.serial = modem_commands.serial AND (%(scope_hosts)s::text[] IS NULL OR modems.host = ANY(%(scope_hosts)s::text[])))

-- name: expire_command
UPDATE modem_commands SET
    state = 'expired', finished_at = now(), error_code = 'expired', error_message = 'no agent took the command in time'
WHERE id = %(id)s AND state = 'pending'

-- name: visible_devices
SELECT device_id FROM devices WHERE device_id = ANY(%(device_ids)s::text[])
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
