-- name: fetch_modem_steps
-- The steps that are in the history, and what came after them as it was measured.
WITH done AS (
    SELECT until FROM history_marks WHERE source = 'modems'
), wanted AS (
    SELECT serial FROM modems
    WHERE (%(serials)s::text[] IS NULL OR serial = ANY(%(serials)s::text[]))
    AND (%(host)s::text IS NULL OR host = %(host)s)
    AND (%(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[]))
), pieces AS (
    SELECT known.* FROM wanted CROSS JOIN LATERAL (
        SELECT at, samples, online, rssi_dbm, rsrp_dbm, rsrp_least_dbm, rsrq_db, sinr_db, rx_bytes, tx_bytes
        FROM modem_history
        WHERE step_seconds = %(tier)s AND modem_history.serial = wanted.serial
        AND at >= %(begun)s AND at < %(stop)s
    ) AS known
    UNION ALL
    SELECT at, samples, online, rssi_dbm, rsrp_dbm, rsrp_least_dbm, rsrq_db, sinr_db, rx_bytes, tx_bytes
    FROM measure_modems(
        ARRAY(SELECT serial FROM wanted), greatest(%(begun)s, (SELECT until FROM done)), %(stop)s,
        make_interval(secs => %(step)s))
    WHERE %(stop)s > (SELECT until FROM done)
)
SELECT extract(epoch FROM date_bin(make_interval(secs => %(step)s), at, '2000-01-01+00'))::bigint AS at,
    sum(samples)::bigint AS samples, sum(online)::bigint AS online,
    (sum(rssi_dbm * samples) / sum(samples) FILTER (WHERE rssi_dbm IS NOT NULL))::float8 AS rssi_dbm,
    (sum(rsrp_dbm * samples) / sum(samples) FILTER (WHERE rsrp_dbm IS NOT NULL))::float8 AS rsrp_dbm,
    min(rsrp_least_dbm)::float8 AS rsrp_least_dbm,
    (sum(rsrq_db * samples) / sum(samples) FILTER (WHERE rsrq_db IS NOT NULL))::float8 AS rsrq_db,
    (sum(sinr_db * samples) / sum(samples) FILTER (WHERE sinr_db IS NOT NULL))::float8 AS sinr_db,
    sum(rx_bytes)::bigint AS rx_bytes, sum(tx_bytes)::bigint AS tx_bytes
FROM pieces GROUP BY 1 ORDER BY 1

-- name: fetch_modem_samples
SELECT extract(epoch FROM at)::bigint AS at, sum(samples)::bigint AS samples, sum(online)::bigint AS online,
    (sum(rssi_dbm * samples) / sum(samples) FILTER (WHERE rssi_dbm IS NOT NULL))::float8 AS rssi_dbm,
    (sum(rsrp_dbm * samples) / sum(samples) FILTER (WHERE rsrp_dbm IS NOT NULL))::float8 AS rsrp_dbm,
    min(rsrp_least_dbm)::float8 AS rsrp_least_dbm,
    (sum(rsrq_db * samples) / sum(samples) FILTER (WHERE rsrq_db IS NOT NULL))::float8 AS rsrq_db,
    (sum(sinr_db * samples) / sum(samples) FILTER (WHERE sinr_db IS NOT NULL))::float8 AS sinr_db,
    sum(rx_bytes)::bigint AS rx_bytes, sum(tx_bytes)::bigint AS tx_bytes
FROM measure_modems(
    ARRAY(
        SELECT serial FROM modems WHERE (%(serials)s::text[] IS NULL OR serial = ANY(%(serials)s::text[]))
        AND (%(host)s::text IS NULL OR host = %(host)s)
        AND (%(scope_hosts)s::text[] IS NULL OR host = ANY(%(scope_hosts)s::text[]))),
    %(begun)s, %(stop)s, make_interval(secs => %(step)s))
GROUP BY 1 ORDER BY 1

-- name: fetch_session_steps
WITH done AS (
    SELECT until FROM history_marks WHERE source = 'sessions'
), pieces AS (
    SELECT at, outcome, sessions, seconds FROM session_history
    WHERE step_seconds = %(tier)s AND at >= %(begun)s AND at < %(stop)s
    UNION ALL
    SELECT ended_at, outcome, 1, extract(epoch FROM ended_at - started_at) FROM sessions
    WHERE ended_at >= greatest(%(begun)s, (SELECT until FROM done)) AND ended_at < %(stop)s
)
SELECT extract(epoch FROM date_bin(make_interval(secs => %(step)s), at, '2000-01-01+00'))::bigint AS at, outcome,
    sum(sessions)::bigint AS sessions, sum(seconds)::float8 AS seconds
FROM pieces GROUP BY 1, 2 ORDER BY 1, 2

-- name: fetch_sessions_of_scope
-- What the history counts is everybody's; who sees a part is counted for.
SELECT extract(epoch FROM date_bin(make_interval(secs => %(step)s), ended_at, '2000-01-01+00'))::bigint AS at, outcome,
    count(*)::bigint AS sessions, sum(extract(epoch FROM ended_at - started_at))::float8 AS seconds
FROM sessions
WHERE ended_at >= %(begun)s AND ended_at < %(stop)s AND device_id IN (
    SELECT device_id FROM device_tags WHERE tag = ANY(%(scope_tags)s::text[]))
GROUP BY 1, 2 ORDER BY 1, 2

-- name: advance_history
SELECT advance_history(%(source)s, make_interval(mins => %(minutes)s))

-- name: mend_history
SELECT mend_history(%(keep_days)s, %(most)s)

-- name: maintain_history_partitions
SELECT maintain_history_partitions(%(fine_days)s, %(hour_days)s, %(day_days)s)
