-- name: use_ticket
INSERT INTO used_tickets (ticket, expires_at) VALUES (%(ticket)s, %(expires_at)s) ON CONFLICT DO NOTHING

-- name: forget_tickets
-- Later than a server whose clock is slow could still take them for good ones.
DELETE FROM used_tickets WHERE expires_at < now() - interval '1 hour'
