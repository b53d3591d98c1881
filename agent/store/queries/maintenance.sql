-- name: maintain_partitions
SELECT maintain_partitions(%(days)s)

-- name: delete_events
DELETE FROM events WHERE id IN (
    SELECT id FROM events WHERE at < now() - make_interval(days => %(days)s) ORDER BY at LIMIT %(rows)s)

-- name: delete_commands
DELETE FROM modem_commands WHERE id IN (
    SELECT id FROM modem_commands WHERE requested_at < now() - make_interval(days => %(days)s)
    ORDER BY requested_at LIMIT %(rows)s)

-- name: delete_addresses
DELETE FROM address_history WHERE id IN (
    SELECT id FROM address_history WHERE valid_until < now() - make_interval(days => %(days)s)
    ORDER BY valid_until LIMIT %(rows)s)

-- name: delete_outbox_marks
DELETE FROM outbox_marks WHERE outbox IN (
    SELECT outbox FROM outbox_marks WHERE updated_at < now() - make_interval(days => greatest(%(days)s, 365))
    ORDER BY updated_at LIMIT %(rows)s)
