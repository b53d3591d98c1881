-- name: claim
-- Of each alert and target only the oldest that waits: an end must not arrive before its begin.
WITH due AS (
    SELECT delivery.id FROM alert_deliveries AS delivery
    WHERE delivery.state = 'pending' AND delivery.next_at <= now() AND delivery.claimed_until <= now()
    AND NOT EXISTS (
        SELECT FROM alert_deliveries AS earlier WHERE earlier.target_id = delivery.target_id
        AND earlier.alert_id = delivery.alert_id AND earlier.state = 'pending' AND earlier.id < delivery.id)
    ORDER BY delivery.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE alert_deliveries SET claimed_until = now() + make_interval(secs => %(seconds)s), attempts = attempts + 1
    WHERE id IN (SELECT id FROM due) RETURNING *
)
SELECT claimed.id, claimed.target_id, claimed.event, claimed.payload, claimed.attempts, claimed.created_at, target.kind,
    target.settings, target.secret, target.enabled
FROM claimed JOIN alert_targets AS target ON target.id = claimed.target_id ORDER BY claimed.id

-- name: finish
UPDATE alert_deliveries SET state = %(state)s, reason = %(reason)s, finished_at = now(), claimed_until = '-infinity'
WHERE id = ANY(%(ids)s::bigint[]) AND state = 'pending'

-- name: again
UPDATE alert_deliveries SET reason = %(reason)s, next_at = now() + make_interval(secs => %(wait)s), claimed_until = '-infinity'
WHERE id = ANY(%(ids)s::bigint[]) AND state = 'pending'

-- name: postpone_others
-- A target that does not answer must not keep the others waiting.
UPDATE alert_deliveries SET next_at = now() + make_interval(secs => %(wait)s)
WHERE target_id = %(target_id)s AND state = 'pending' AND next_at < now() + make_interval(secs => %(wait)s)
AND claimed_until <= now() AND event <> 'test'

-- name: seconds_to_next
SELECT extract(epoch FROM min(greatest(next_at, claimed_until)) - now())::float8 FROM alert_deliveries WHERE state = 'pending'
