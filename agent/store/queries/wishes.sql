-- name: lock_allocation
SELECT pg_advisory_xact_lock(hashtextextended('lastmile allocation ' || %(host)s, 0))

-- name: meet_host
INSERT INTO hosts (name) VALUES (%(host)s) ON CONFLICT (name) DO NOTHING

-- name: fetch_home
SELECT
    modems.host, slot, imei,
    status <> 'offline' AND hosts.last_seen > now() - interval '2 minutes' AS present
FROM modems JOIN hosts ON hosts.name = modems.host WHERE serial = %(serial)s

-- name: lowest_free_index
SELECT index FROM generate_series(0, %(last_index)s::integer) AS index
WHERE NOT EXISTS (
    SELECT FROM modems WHERE host = %(host)s AND (
        proxy_port = %(tcp_port_first)s + index OR uid = %(uid_first)s + index OR fib_table = %(table_first)s + index))
ORDER BY index LIMIT 1

-- name: add_modem
INSERT INTO modems (serial, host, slot, imei, proxy_port, uid, fib_table)
VALUES (%(serial)s, %(host)s, %(slot)s, %(imei)s, %(tcp_port)s, %(uid)s, %(table)s)

-- name: move_modem
UPDATE modems SET
    host = %(host)s, slot = %(slot)s, imei = coalesce(%(imei)s, imei), status = 'detected', reason = '',
    proxy_port = %(tcp_port)s, uid = %(uid)s, fib_table = %(table)s, proxy_running = false,
    wan_address = NULL, wan_address_ipv6 = NULL, path = NULL, interface = NULL, last_seen = now()
WHERE serial = %(serial)s AND host = %(old_host)s

-- name: meet_modem
UPDATE modems SET slot = %(slot)s, imei = coalesce(%(imei)s, imei)
WHERE serial = %(serial)s AND host = %(host)s
AND (slot, imei) IS DISTINCT FROM (%(slot)s, coalesce(%(imei)s, imei))

-- name: fetch_wish
SELECT serial, slot, enabled, apn, proxy_port AS tcp_port, uid, fib_table AS table
FROM modems WHERE serial = %(serial)s AND host = %(host)s

-- name: fetch_wishes
SELECT serial, slot, enabled, apn, proxy_port AS tcp_port, uid, fib_table AS table
FROM modems WHERE host = %(host)s ORDER BY serial
