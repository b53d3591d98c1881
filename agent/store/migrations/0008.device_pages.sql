-- What the pages about devices need: search by any stored value, saved filters, recorded sessions.

-- Values lie in chunks, which no index reaches into. What somebody has searched or sorted by is kept a second time, one
-- row for a value; triggers keep it right, and `lastmile worker` fills it when it is asked for the first time.
CREATE TABLE search_parameters (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text NOT NULL UNIQUE CHECK (length(path) BETWEEN 1 AND 256),
    top text NOT NULL,
    pattern text,
    ready boolean NOT NULL DEFAULT false,
    writers_before xid8,
    filled_to bigint NOT NULL DEFAULT 0,
    used_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX search_parameters_top ON search_parameters (top);
COMMENT ON COLUMN search_parameters.pattern IS 'a regular expression where the path has * for instance numbers; null: the path itself';
COMMENT ON COLUMN search_parameters.writers_before IS 'transactions below it may not know of this row yet: filling waits for them';

CREATE TABLE search_values (
    device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    parameter_id integer NOT NULL REFERENCES search_parameters (id) ON DELETE CASCADE,
    path text NOT NULL,
    value text COLLATE "C" NOT NULL,
    number double precision NOT NULL,
    PRIMARY KEY (device_id, parameter_id, path)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX search_values_order ON search_values (parameter_id, number, value, device_id);
COMMENT ON COLUMN search_values.value IS 'its first 257 characters';
COMMENT ON COLUMN search_values.number IS 'infinite where the value is no number: those come after the numbers';

CREATE FUNCTION search_number(value text) RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN value ~ '^[+-]?[0-9]{1,15}(\.[0-9]{1,15})?$' THEN value::double precision ELSE 'Infinity' END
$$;

-- Brings the search of some devices up to what their chunks and Informs have now, for what lies below some tops.
CREATE FUNCTION refresh_search(of_devices bigint[], of_tops text[], only_parameter integer DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted integer[];
BEGIN
    SELECT array_agg(id) INTO wanted FROM search_parameters
    WHERE top = ANY(of_tops) AND (only_parameter IS NULL OR id = only_parameter);
    IF wanted IS NULL THEN
        RETURN;
    END IF;
    WITH given AS (
        SELECT chunk.device_id, each.key AS path, each.value
        FROM parameter_chunks AS chunk CROSS JOIN LATERAL jsonb_each_text(chunk."values") AS each
        WHERE chunk.device_id = ANY(of_devices)
        AND chunk.top IN (SELECT top FROM search_parameters WHERE id = ANY(wanted))
        UNION ALL
        SELECT inform.device_id, each.key, each.value
        FROM device_informs AS inform CROSS JOIN LATERAL jsonb_each_text(inform."values") AS each
        WHERE inform.device_id = ANY(of_devices)
    ), matching AS (
        SELECT given.*, parameter.id AS parameter_id FROM search_parameters AS parameter
        JOIN given ON given.path = parameter.path WHERE parameter.id = ANY(wanted)
        UNION ALL
        SELECT given.*, parameter.id FROM search_parameters AS parameter
        JOIN given ON given.path ~ parameter.pattern WHERE parameter.id = ANY(wanted)
    ), found AS (
        SELECT DISTINCT ON (device_id, parameter_id, path) device_id, parameter_id, path, left(value, 257) AS value
        FROM matching WHERE value IS NOT NULL
    ), gone AS (
        DELETE FROM search_values AS known
        WHERE known.device_id = ANY(of_devices) AND known.parameter_id = ANY(wanted) AND NOT EXISTS (
            SELECT FROM found WHERE found.device_id = known.device_id
            AND found.parameter_id = known.parameter_id AND found.path = known.path)
    )
    INSERT INTO search_values AS known (device_id, parameter_id, path, value, number)
    SELECT device_id, parameter_id, path, value, search_number(value) FROM found ORDER BY device_id, parameter_id, path
    ON CONFLICT (device_id, parameter_id, path) DO UPDATE SET value = excluded.value, number = excluded.number
    WHERE known.value <> excluded.value;
END
$$;

CREATE FUNCTION search_changed_chunks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM search_parameters) THEN
        PERFORM refresh_search(
            (SELECT array_agg(DISTINCT device_id) FROM changed), (SELECT array_agg(DISTINCT top) FROM changed));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER parameter_chunks_search_insert AFTER INSERT ON parameter_chunks
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_changed_chunks();
CREATE TRIGGER parameter_chunks_search_update AFTER UPDATE ON parameter_chunks
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_changed_chunks();
CREATE TRIGGER parameter_chunks_search_delete AFTER DELETE ON parameter_chunks
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION search_changed_chunks();

CREATE FUNCTION search_changed_inform() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := CASE WHEN TG_OP = 'UPDATE' THEN OLD."values" ELSE '{}' END;
BEGIN
    IF EXISTS (SELECT FROM search_parameters) THEN
        PERFORM refresh_search(ARRAY[NEW.device_id], ARRAY(
            SELECT DISTINCT parameter_top(key) FROM jsonb_object_keys(NEW."values" || before) AS key
            WHERE NEW."values" -> key IS DISTINCT FROM before -> key));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER device_informs_search_insert AFTER INSERT ON device_informs
    FOR EACH ROW EXECUTE FUNCTION search_changed_inform();
-- The usual Inform brings nothing new, and comes no further than this comparison.
CREATE TRIGGER device_informs_search_update AFTER UPDATE OF "values" ON device_informs
    FOR EACH ROW WHEN (OLD."values" IS DISTINCT FROM NEW."values") EXECUTE FUNCTION search_changed_inform();

-- Fills what is searched by with the values of the next devices; says how it went on: ready, more, wait or gone.
CREATE FUNCTION fill_search(of_parameter integer, devices_most integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    wanted search_parameters;
    chosen bigint[];
BEGIN
    SELECT * INTO wanted FROM search_parameters WHERE id = of_parameter AND NOT ready FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 'gone';
    END IF;
    -- Who writes values now and began before this row was there does not keep it right: wait until all those are done.
    IF wanted.writers_before IS NULL THEN
        UPDATE search_parameters SET writers_before = pg_snapshot_xmax(pg_current_snapshot()) WHERE id = of_parameter;
        RETURN 'wait';
    END IF;
    IF pg_snapshot_xmin(pg_current_snapshot()) < wanted.writers_before THEN
        RETURN 'wait';
    END IF;
    chosen := ARRAY(SELECT id FROM devices WHERE id > wanted.filled_to ORDER BY id LIMIT devices_most);
    IF cardinality(chosen) = 0 THEN
        UPDATE search_parameters SET ready = true WHERE id = of_parameter;
        RETURN 'ready';
    END IF;
    BEGIN
        -- What somebody is changing at this moment is read when he is done, else his change could be missed. Without
        -- waiting: who waits while he holds something may be waited for.
        PERFORM FROM device_informs WHERE device_id = ANY(chosen) FOR SHARE NOWAIT;
        PERFORM FROM parameter_chunks WHERE device_id = ANY(chosen) AND top = wanted.top FOR SHARE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        RETURN 'wait';
    END;
    PERFORM refresh_search(chosen, ARRAY[wanted.top], of_parameter);
    UPDATE search_parameters SET filled_to = chosen[cardinality(chosen)] WHERE id = of_parameter;
    RETURN 'more';
END
$$;

CREATE TABLE saved_filters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
    shared boolean NOT NULL DEFAULT false,
    query text NOT NULL CHECK (length(query) <= 4000),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (owner, name)
);
COMMENT ON COLUMN saved_filters.query IS 'as behind the ? of the list of devices';

-- Recording of a device's sessions: on until a time, or until so much has been kept.
CREATE TABLE session_recordings (
    device_id bigint PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    until timestamptz NOT NULL,
    bytes_left bigint NOT NULL,
    created_by text NOT NULL DEFAULT current_user,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE session_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device_id bigint NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    tag text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sender text NOT NULL CHECK (sender IN ('cpe', 'acs')),
    method text NOT NULL,
    http_status smallint,
    body text NOT NULL,
    size integer NOT NULL
);
CREATE INDEX session_messages_session ON session_messages (device_id, tag, id);
CREATE INDEX session_messages_at ON session_messages (at);
COMMENT ON COLUMN session_messages.body IS 'without its secrets; cut when long: size is that of the whole';

ALTER TABLE sessions ADD COLUMN tag text NOT NULL DEFAULT '';
COMMENT ON COLUMN sessions.tag IS 'the beginning of the session''s token: what its recorded messages have in common';

CREATE OR REPLACE FUNCTION end_session(ended cwmp_sessions, at timestamptz, how text, why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sessions (device_id, started_at, ended_at, inform_events, messages_exchanged, outcome, reason,
        parameters, worker, peer, tag)
    VALUES (ended.device_id, ended.started_at, at, ended.events, ended.messages, how, why, ended.parameters,
        ended.worker, ended.peer, left(ended.token, 10));
    IF how <> 'completed' THEN
        UPDATE tasks SET
            status = CASE WHEN attempts >= 3 THEN 'failed' ELSE 'pending' END,
            fault_code = CASE WHEN attempts >= 3 THEN 'session' END,
            fault_message = CASE WHEN attempts >= 3 THEN 'the device did not answer in three sessions' END,
            completed_at = CASE WHEN attempts >= 3 THEN at END
        WHERE device_id = ended.device_id AND status = 'sent' AND NOT awaits_transfer;
    END IF;
END
$$;
