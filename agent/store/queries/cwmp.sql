-- name: begin_session
SELECT verdict, device, model, created, discovery, strangers FROM begin_session(
    $1, $2, $3, $4, $5, $6, $7, $8, $9::inet, $10::text[], $11::jsonb, $12::jsonb, $13, $14, $15, $16::integer, $17,
    $18::bigint, $19, $20::integer, $21::double precision, $22::boolean, $23::boolean)

-- name: load_session
SELECT verdict, sequence, state, discovery, model, profile, to_json(names), names_start, total, task, task_kind,
    task_arguments, task_attempts
FROM load_session($1::bigint, $2, $3, $4::inet, $5::boolean, $6, $7::bigint, $8::integer)

-- name: save_session
SELECT save_session(
    %(device)s, %(token)s, %(sequence)s, %(state)s::jsonb, %(names)s::text[], %(fresh)s, %(start)s, %(stop)s, %(batch)s,
    %(batches)s, %(parameters)s, %(discovery)s)

-- name: finish_session
SELECT finish_session(%(device)s, %(token)s, %(sequence)s, %(parameters)s, %(outcome)s, %(reason)s)

-- name: fetch_transferring
SELECT id, kind, arguments, attempts FROM tasks
WHERE device_id = %(device)s AND (status = 'sent' AND awaits_transfer OR id = %(task)s AND status IN ('sent', 'pending'))
ORDER BY id

-- name: task_sent
UPDATE tasks SET status = 'sent', sent_at = now(), attempts = attempts + 1 WHERE id = %(task)s AND status = 'pending'

-- name: task_completed
UPDATE tasks SET
    status = 'completed', completed_at = now(), result = coalesce(result, '{}') || %(result)s::jsonb,
    awaits_transfer = false, fault_code = NULL, fault_message = NULL
WHERE id = %(task)s AND device_id = %(device)s AND status IN ('pending', 'sent')

-- name: task_awaits_transfer
UPDATE tasks SET awaits_transfer = true WHERE id = %(task)s AND status = 'sent'

-- name: task_failed
UPDATE tasks SET
    status = CASE WHEN %(wait)s::double precision IS NULL THEN 'failed' ELSE 'pending' END,
    not_before = CASE WHEN %(wait)s::double precision IS NULL THEN not_before
        ELSE now() + make_interval(secs => %(wait)s::double precision) END,
    completed_at = CASE WHEN %(wait)s::double precision IS NULL THEN now() END,
    awaits_transfer = false, fault_code = %(code)s, fault_message = %(message)s
WHERE id = %(task)s AND status IN ('pending', 'sent')

-- name: tasks_by_event
UPDATE tasks SET status = 'completed', completed_at = now(), result = coalesce(result, '{}')
WHERE device_id = %(device)s AND id = ANY(%(tasks)s) AND kind IN ('reboot', 'scheduleInform', 'factoryReset')
AND status IN ('pending', 'sent')

-- name: raise_fault
INSERT INTO faults AS fault (device_id, channel, code, message, detail, retry_at)
VALUES (%(device)s, %(channel)s, %(code)s, %(message)s, %(detail)s::jsonb,
    now() + make_interval(secs => %(wait)s::double precision))
ON CONFLICT (device_id, channel) DO UPDATE SET
    code = excluded.code, message = excluded.message, detail = excluded.detail, at = now(), retries = fault.retries + 1,
    retry_at = excluded.retry_at

-- name: clear_fault
DELETE FROM faults WHERE device_id = %(device)s AND channel = %(channel)s

-- name: discovery_finished
UPDATE devices SET
    discovered_at = now(), discovery_wanted = false, discovery_attempts = 0, discovery_not_before = '-infinity',
    parameter_count = (
        SELECT count(*) FROM parameter_chunks AS chunk CROSS JOIN LATERAL jsonb_object_keys(chunk."values")
        WHERE chunk.device_id = devices.id
    ) + (
        SELECT count(*) FROM device_informs AS inform CROSS JOIN LATERAL jsonb_object_keys(inform."values")
        WHERE inform.device_id = devices.id
    )
WHERE id = %(device)s
RETURNING device_id, parameter_count

-- name: discovery_failed
UPDATE devices SET
    discovery_attempts = discovery_attempts + 1,
    discovery_not_before = now() + make_interval(
        secs => least(86400.0, %(first_wait)s::double precision * 2 ^ least(discovery_attempts, 20)))
WHERE id = %(device)s
RETURNING discovery_attempts, extract(epoch FROM discovery_not_before - now())::double precision AS wait

-- name: learn_profile
UPDATE device_models SET profile = profile || %(profile)s::jsonb WHERE id = %(model)s

-- name: emit_device_event
SELECT emit_device_event(%(kind)s, device_id, %(payload)s::jsonb) FROM devices WHERE id = %(device)s

-- name: notify_progress
SELECT pg_notify('session_progress', json_build_object(
    'device', device_id, 'batch', %(batch)s::integer, 'batches', %(batches)s::integer,
    'parameters', %(parameters)s::integer, 'total', %(total)s::integer)::text)
FROM devices WHERE id = %(device)s

-- name: stale_names
SELECT key FROM (
    SELECT keys.key FROM parameter_chunks AS chunk CROSS JOIN LATERAL jsonb_object_keys(chunk."values") AS keys (key)
    WHERE chunk.device_id = %(device)s AND starts_with(keys.key, %(path)s)
    EXCEPT SELECT unnest(names) FROM cwmp_sessions WHERE device_id = %(device)s
) AS stale
WHERE EXISTS (SELECT FROM devices WHERE id = %(device)s AND discovered_at IS NOT NULL)

-- name: nonce_key
WITH made AS (
    INSERT INTO cwmp_nonce_keys (key) VALUES (%(key)s) ON CONFLICT DO NOTHING RETURNING key
)
SELECT key FROM made UNION ALL SELECT key FROM cwmp_nonce_keys LIMIT 1

-- name: transfer_key
WITH made AS (
    INSERT INTO acs_keys (transfer_key) VALUES (%(key)s) ON CONFLICT DO NOTHING RETURNING transfer_key
)
SELECT transfer_key FROM made UNION ALL SELECT transfer_key FROM acs_keys LIMIT 1

-- name: find_by_tag
SELECT token FROM cwmp_sessions WHERE device_id = %(device)s AND starts_with(token, %(tag)s)

-- name: find_by_peer
SELECT device_id, token FROM cwmp_sessions
WHERE peer = %(peer)s::inet AND (%(principal)s::text IS NULL OR principal = %(principal)s)
AND state ->> 'phase' <> 'end' LIMIT 2

-- name: fail_session
SELECT finish_session(device_id, token, sequence, 0, 'failed', %(reason)s) FROM cwmp_sessions
WHERE device_id = %(device)s AND token = %(token)s

-- name: fetch_credential
SELECT username, realm, ha1_md5, ha1_sha256, device_id FROM cpe_credentials WHERE username = %(username)s
