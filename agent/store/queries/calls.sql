-- name: claim_calls
WITH due AS (
    SELECT id FROM connection_requests
    WHERE state = 'pending' AND next_at <= now() AND claimed_until < now() ORDER BY next_at LIMIT %(rows)s
    FOR UPDATE SKIP LOCKED
)
UPDATE connection_requests AS request SET
    attempts = request.attempts + 1, claimed_until = now() + make_interval(secs => %(claim)s::double precision)
FROM due, devices
WHERE request.id = due.id AND devices.id = request.device_id
RETURNING request.id, devices.device_id, devices.connection_request_url AS url, request.attempts

-- name: call_accepted
UPDATE connection_requests SET
    state = 'asked', next_at = now() + make_interval(secs => %(wait)s::double precision), reason = %(reason)s,
    claimed_until = '-infinity'
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'

-- name: call_again
UPDATE connection_requests SET
    next_at = now() + make_interval(secs => %(wait)s::double precision), reason = %(reason)s, claimed_until = '-infinity'
WHERE id = %(id)s AND attempts = %(attempts)s AND state = 'pending'

-- name: call_failed
UPDATE connection_requests SET state = 'failed', reason = %(reason)s, finished_at = now()
WHERE id = %(id)s AND attempts = %(attempts)s AND state IN ('pending', 'asked')

-- name: claim_unanswered
UPDATE connection_requests SET
    state = CASE WHEN attempts < %(attempts)s THEN 'pending' ELSE 'failed' END,
    reason = CASE state WHEN 'asked' THEN 'the device took the request, and no session came'
        ELSE 'the worker that asked the device was lost' END,
    next_at = now(),
    finished_at = CASE WHEN attempts < %(attempts)s THEN NULL ELSE now() END
WHERE state = 'asked' AND next_at <= now()
OR state = 'pending' AND attempts >= %(attempts)s AND claimed_until < now()

-- name: seconds_to_next_call
SELECT extract(epoch FROM min(greatest(next_at, claimed_until)) - now())::double precision FROM connection_requests
WHERE state IN ('pending', 'asked')
