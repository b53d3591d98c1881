-- What a host's agent wants people to know: one sentence each, renewed with its heartbeat.
ALTER TABLE hosts ADD COLUMN notices text[] NOT NULL DEFAULT '{}';
