-- name: fail_interrupted
UPDATE modem_commands SET
    state = 'failed', finished_at = now(), error_code = 'agent_restarted',
    error_message = 'the agent ended while it worked on this command; whether it took effect is not known'
WHERE state = 'running' AND claimed_by = %(host)s

-- name: expire_overdue
UPDATE modem_commands SET
    state = 'expired', finished_at = now(), error_code = 'expired', error_message = 'no agent took the command in time'
WHERE id IN (
    SELECT modem_commands.id FROM modem_commands JOIN modems USING (serial)
    WHERE host = %(host)s AND state = 'pending' AND expires_at <= now()
    ORDER BY modem_commands.id LIMIT 1000 FOR UPDATE OF modem_commands SKIP LOCKED)

-- name: fail_abandoned
UPDATE modem_commands SET
    state = 'failed', finished_at = now(), error_code = 'agent_restarted',
    error_message = 'the agent never answered; whether the command took effect is not known'
WHERE state = 'running' AND claimed_by = %(host)s AND expires_at < now() - interval '5 minutes'

-- name: claim
UPDATE modem_commands SET state = 'running', claimed_by = %(host)s, claimed_at = now()
WHERE id IN (
    SELECT modem_commands.id FROM modem_commands JOIN modems USING (serial)
    WHERE host = %(host)s AND state = 'pending' AND expires_at > now()
    ORDER BY modem_commands.id LIMIT %(limit)s FOR UPDATE OF modem_commands SKIP LOCKED)
RETURNING
    id, serial, kind, argument::text AS argument,
    extract(epoch FROM expires_at - now())::float8 AS remaining_seconds

-- name: refuse
UPDATE modem_commands SET
    state = 'failed', finished_at = now(), error_code = %(code)s, error_message = %(message)s
WHERE id = %(id)s AND state = 'running'
