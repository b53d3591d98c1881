-- Tickets for live events that were used: each is good once, at whichever server. Lost in a crash, it is soon over anyway.

CREATE UNLOGGED TABLE used_tickets (
    ticket text PRIMARY KEY CHECK (length(ticket) <= 64),
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_tickets_expires_at ON used_tickets (expires_at);
