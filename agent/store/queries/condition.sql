-- name: fetch_condition
SELECT
    split_part(current_setting('server_version'), ' ', 1) AS version,
    pg_is_in_recovery() AS standby,
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
        - coalesce(nullif(current_setting('reserved_connections', true), '')::integer, 0) AS connections_most,
    -- Without rights to see others' sessions, their rows are there all the same.
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type IS NULL OR backend_type = 'client backend')::integer
        AS connections_used,
    extract(epoch FROM clock_timestamp())::float8 AS epoch_seconds

-- name: fetch_numbers
SELECT uid, fib_table FROM modems WHERE host = %(host)s
