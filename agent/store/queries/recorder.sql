-- name: make_mark
INSERT INTO outbox_marks (outbox, host) VALUES (%(outbox)s, %(host)s)

-- name: fetch_mark
SELECT sequence FROM outbox_marks WHERE outbox = %(outbox)s FOR UPDATE

-- name: save_mark
UPDATE outbox_marks SET sequence = %(sequence)s, updated_at = now() WHERE outbox = %(outbox)s

-- name: save_log
INSERT INTO modem_logs (at, host, serial, channel, command, response, outcome, duration_seconds)
VALUES (
    %(at)s::timestamptz, %(host)s, %(serial)s, %(channel)s, %(command)s, %(response)s, %(outcome)s,
    %(duration_seconds)s)

-- name: save_report
UPDATE modems SET
    reported_at = %(at)s::timestamptz,
    last_seen = CASE WHEN %(slot)s::text IS NULL THEN last_seen ELSE greatest(last_seen, %(at)s::timestamptz) END,
    status = %(state)s, reason = %(reason)s,
    slot = coalesce(%(slot)s, slot), path = %(path)s, interface = %(interface)s,
    imei = coalesce(%(imei)s, imei), model = coalesce(%(model)s, model), revision = coalesce(%(revision)s, revision),
    -- A modem that is away or mute says nothing of its SIM; one that is blocked says that it has none, or this one.
    iccid = CASE WHEN %(state)s = 'sim_blocked' THEN %(iccid)s::text ELSE coalesce(%(iccid)s, iccid) END,
    imsi = CASE WHEN %(state)s = 'sim_blocked' THEN %(imsi)s::text ELSE coalesce(%(imsi)s, imsi) END,
    operator = %(operator)s, access_technology = %(access_technology)s, registration = %(registration)s,
    rssi_dbm = %(rssi_dbm)s, rsrp_dbm = %(rsrp_dbm)s, rsrq_db = %(rsrq_db)s, sinr_db = %(sinr_db)s,
    wan_address = %(wan_address)s::inet, wan_address_ipv6 = %(wan_address_ipv6)s::inet,
    proxy_running = %(proxy_running)s,
    rx_bytes = coalesce(%(rx_bytes)s, rx_bytes), tx_bytes = coalesce(%(tx_bytes)s, tx_bytes)
WHERE serial = %(serial)s AND host = %(host)s

-- name: save_sample
INSERT INTO modem_samples (
    serial, at, status, access_technology, rssi_dbm, rsrp_dbm, rsrq_db, sinr_db, rx_bytes, tx_bytes)
VALUES (
    %(serial)s, %(at)s::timestamptz, %(state)s, %(access_technology)s,
    %(rssi_dbm)s, %(rsrp_dbm)s, %(rsrq_db)s, %(sinr_db)s, %(rx_bytes)s, %(tx_bytes)s)
ON CONFLICT DO NOTHING

-- name: save_result
UPDATE modem_commands SET
    state = %(state)s, result = %(result)s::jsonb, error_code = %(error_code)s, error_message = %(error_message)s,
    finished_at = %(at)s::timestamptz
-- An answer that comes late, out of the outbox, is better than the guess that a restarted agent made.
WHERE id = %(id)s AND claimed_by = %(host)s
AND (state = 'running' OR (state = 'failed' AND error_code = 'agent_restarted'))
