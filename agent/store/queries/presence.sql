-- name: try_lock
SELECT pg_try_advisory_lock(hashtextextended('lastmile agent ' || %(host)s, 0))

-- name: announce
INSERT INTO hosts AS known (name, version, pid, agent_id, boot_id, proxy_listen, started_at, last_seen, notices)
VALUES (
    %(host)s, %(version)s, %(pid)s, %(agent_id)s, %(boot_id)s, %(proxy_listen)s::inet, %(started_at)s, now(),
    %(notices)s)
ON CONFLICT (name) DO UPDATE SET
    version = excluded.version, pid = excluded.pid, agent_id = excluded.agent_id, boot_id = excluded.boot_id,
    proxy_listen = coalesce(excluded.proxy_listen, known.proxy_listen), started_at = excluded.started_at,
    last_seen = excluded.last_seen, notices = excluded.notices

-- name: fetch_holder
SELECT agent_id, boot_id, pid, last_seen FROM hosts WHERE name = %(host)s

-- name: be_login_role
SET LOCAL ROLE NONE

-- name: end_holder
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND objsubid = 1
AND (classid::bigint << 32) | objid::bigint = hashtextextended('lastmile agent ' || %(host)s, 0)
