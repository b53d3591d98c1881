-- name: end_silent_sessions
-- All rows are locked before the first end is announced, which takes the lock of the order of events: in the other order
-- it would wait for a session that waits for that lock.
WITH silent AS (
    SELECT device_id, token, sequence FROM cwmp_sessions
    WHERE touched_at < now() - make_interval(secs => %(idle)s) ORDER BY touched_at LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED
)
SELECT count(*) FILTER (WHERE end_silent_session(device_id, token, sequence)) FROM silent

-- name: expire_tasks
UPDATE tasks SET
    status = 'expired', completed_at = now(),
    fault_message = coalesce(fault_message, CASE
        WHEN awaits_transfer THEN 'the device never told how the transfer ended'
        ELSE 'the device took no notice of it in time' END)
WHERE id IN (
    SELECT id FROM tasks WHERE status IN ('pending', 'sent') AND expires_at < now() ORDER BY expires_at LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED)

-- name: delete_nonces
DELETE FROM cwmp_nonces WHERE at < now() - make_interval(secs => %(seconds)s)

-- name: delete_tasks
DELETE FROM tasks WHERE id IN (
    SELECT id FROM tasks WHERE completed_at < now() - make_interval(days => %(days)s) ORDER BY completed_at
    LIMIT %(rows)s)

-- name: delete_connection_requests
DELETE FROM connection_requests WHERE id IN (
    SELECT id FROM connection_requests
    WHERE requested_at < now() - make_interval(days => %(days)s) AND state IN ('done', 'failed')
    ORDER BY requested_at LIMIT %(rows)s)

-- name: delete_session_messages
DELETE FROM session_messages WHERE id IN (
    SELECT id FROM session_messages WHERE at < now() - make_interval(days => %(days)s) ORDER BY at LIMIT %(rows)s)

-- name: delete_recordings
DELETE FROM session_recordings WHERE device_id IN (
    SELECT device_id FROM session_recordings WHERE until < now() - make_interval(days => %(days)s) LIMIT %(rows)s)

-- name: maintain_session_partitions
SELECT maintain_session_partitions(%(days)s)
