-- What the counters of the modems' links have grown by. A counter that is lower than before has begun anew.

-- name: fetch_traffic
WITH steps AS (
    SELECT serial, rx_bytes, tx_bytes,
        lag(rx_bytes) OVER in_time AS rx_before, lag(tx_bytes) OVER in_time AS tx_before
    FROM modem_samples WHERE at >= %(since)s AND (%(scope_hosts)s::text[] IS NULL OR EXISTS (
        SELECT FROM modems WHERE modems.serial = modem_samples.serial AND modems.host = ANY(%(scope_hosts)s::text[])))
    WINDOW in_time AS (PARTITION BY serial ORDER BY at)
)
SELECT serial,
    coalesce(sum(CASE WHEN rx_bytes >= rx_before THEN rx_bytes - rx_before ELSE rx_bytes END)
        FILTER (WHERE rx_before IS NOT NULL), 0)::bigint AS rx_bytes,
    coalesce(sum(CASE WHEN tx_bytes >= tx_before THEN tx_bytes - tx_before ELSE tx_bytes END)
        FILTER (WHERE tx_before IS NOT NULL), 0)::bigint AS tx_bytes
FROM steps GROUP BY serial

-- name: fetch_latest_events
SELECT id, at, kind, serial, host, device_id, payload::text AS payload
FROM events WHERE CASE
    WHEN device_id IS NULL THEN %(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[])
    ELSE %(scope_tags)s::text[] IS NULL OR payload -> 'tags' ?| %(scope_tags)s::text[] OR EXISTS (
        SELECT FROM devices JOIN device_tags ON device_tags.device_id = devices.id
        WHERE devices.device_id = events.device_id AND tag = ANY(%(scope_tags)s::text[]))
END
ORDER BY id DESC LIMIT %(limit)s

-- name: fetch_log_of_channels
SELECT id, at, host, serial, channel, command, response, outcome, duration_seconds
FROM modem_logs
WHERE serial = %(serial)s AND channel = ANY(%(channels)s::text[])
    AND (%(scope_hosts)s::text[] IS NULL OR EXISTS (
        SELECT FROM modems WHERE modems.serial = modem_logs.serial AND modems.host = ANY(%(scope_hosts)s::text[])))
    AND (%(before_id)s::bigint IS NULL OR id < %(before_id)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: fetch_processes
SELECT
    -- Those that listen, and the one that holds the host's lock, are part of their process.
    CASE application_name WHEN 'lastmile-presence' THEN 'lastmile agent'
        ELSE regexp_replace(application_name, ' listen$', '') END AS name,
    coalesce(host(client_addr), '') AS address, count(*)::integer AS connections,
    min(backend_start) AS since
FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'lastmile%%'
GROUP BY 1, 2 ORDER BY 1, 2
