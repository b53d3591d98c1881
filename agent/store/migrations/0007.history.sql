-- History that gets coarser with age: what was measured in 5 minutes, an hour, a day; and the traffic's counters as
-- what has passed. Made of modem_samples and sessions, which stay as they are until they are dropped.

CREATE TABLE modem_history (
    step_seconds integer NOT NULL CHECK (step_seconds IN (300, 3600, 86400)),
    serial text NOT NULL,
    at timestamptz NOT NULL,
    samples integer NOT NULL,
    online integer NOT NULL,
    rssi_dbm real,
    rsrp_dbm real,
    rsrp_least_dbm real,
    rsrp_most_dbm real,
    rsrq_db real,
    sinr_db real,
    rx_bytes bigint,
    tx_bytes bigint,
    PRIMARY KEY (step_seconds, serial, at)
) PARTITION BY LIST (step_seconds);
COMMENT ON COLUMN modem_history.at IS 'when the step begins';
COMMENT ON COLUMN modem_history.online IS 'samples in which the modem was online';
COMMENT ON COLUMN modem_history.rx_bytes IS 'what has passed in this step; null while there is nothing to compare a counter with';
CREATE TABLE modem_history_300 PARTITION OF modem_history FOR VALUES IN (300) PARTITION BY RANGE (at);
CREATE TABLE modem_history_3600 PARTITION OF modem_history FOR VALUES IN (3600) PARTITION BY RANGE (at);
CREATE TABLE modem_history_86400 PARTITION OF modem_history FOR VALUES IN (86400) PARTITION BY RANGE (at);

CREATE TABLE session_history (
    step_seconds integer NOT NULL CHECK (step_seconds IN (300, 3600, 86400)),
    at timestamptz NOT NULL,
    outcome text NOT NULL,
    sessions bigint NOT NULL,
    seconds double precision NOT NULL,
    messages bigint NOT NULL,
    PRIMARY KEY (step_seconds, at, outcome)
) PARTITION BY LIST (step_seconds);
COMMENT ON COLUMN session_history.seconds IS 'how long they have lasted, all together';
CREATE TABLE session_history_300 PARTITION OF session_history FOR VALUES IN (300) PARTITION BY RANGE (at);
CREATE TABLE session_history_3600 PARTITION OF session_history FOR VALUES IN (3600) PARTITION BY RANGE (at);
CREATE TABLE session_history_86400 PARTITION OF session_history FOR VALUES IN (86400) PARTITION BY RANGE (at);

DO $$
DECLARE
    part text;
BEGIN
    FOREACH part IN ARRAY ARRAY['modem_history_300', 'modem_history_3600', 'modem_history_86400',
        'session_history_300', 'session_history_3600', 'session_history_86400']
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', part || '_default', part);
    END LOOP;
END
$$;

CREATE TABLE history_marks (
    source text PRIMARY KEY CHECK (source IN ('modems', 'sessions')),
    until timestamptz NOT NULL
);
COMMENT ON COLUMN history_marks.until IS 'everything before it is in the history';
INSERT INTO history_marks (source, until)
SELECT 'modems', date_bin('1 hour', coalesce(min(at), now()), '2000-01-01+00')
FROM modem_samples WHERE at > now() - interval '60 days'
UNION ALL
SELECT 'sessions', date_bin('1 hour', coalesce(min(ended_at), now()), '2000-01-01+00')
FROM sessions WHERE ended_at > now() - interval '60 days';

-- Samples that come when their time is in the history already (an agent had no database): these hours are done again.
CREATE TABLE history_late (
    serial text NOT NULL,
    hour timestamptz NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (serial, hour)
);

CREATE FUNCTION mark_late_sample() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- An update, not DO NOTHING: whoever does the hour again must wait for this transaction, else he would not see it.
    INSERT INTO history_late (serial, hour) VALUES (NEW.serial, date_bin('1 hour', NEW.at, '2000-01-01+00'))
    ON CONFLICT (serial, hour) DO UPDATE SET marked_at = now();
    RETURN NULL;
END
$$;
CREATE TRIGGER modem_samples_late AFTER INSERT ON modem_samples FOR EACH ROW
    WHEN (NEW.at < now() - interval '90 seconds') EXECUTE FUNCTION mark_late_sample();

-- What was measured of some modems (null: of all there are) from `begun` until `stop`, in steps. The counters of a link
-- become what has passed since the sample before; one that is lower than before has begun anew.
CREATE FUNCTION measure_modems(of_serials text[], begun timestamptz, stop timestamptz, step interval)
RETURNS TABLE (
    serial text, at timestamptz, samples integer, online integer, rssi_dbm real, rsrp_dbm real, rsrp_least_dbm real,
    rsrp_most_dbm real, rsrq_db real, sinr_db real, rx_bytes bigint, tx_bytes bigint)
LANGUAGE sql STABLE AS $$
    WITH known AS (
        SELECT modems.serial FROM modems WHERE of_serials IS NULL OR modems.serial = ANY(of_serials)
    ), taken AS (
        SELECT known.serial, sample.* FROM known CROSS JOIN LATERAL (
            SELECT each.at, each.status, each.rssi_dbm, each.rsrp_dbm, each.rsrq_db, each.sinr_db, each.rx_bytes,
                each.tx_bytes
            FROM modem_samples AS each WHERE each.serial = known.serial AND each.at >= begun AND each.at < stop
        ) AS sample
        UNION ALL
        SELECT known.serial, before.* FROM known CROSS JOIN LATERAL (
            SELECT each.at, each.status, each.rssi_dbm, each.rsrp_dbm, each.rsrq_db, each.sinr_db, each.rx_bytes,
                each.tx_bytes
            FROM modem_samples AS each
            WHERE each.serial = known.serial AND each.at < begun AND each.at >= begun - interval '7 days'
            ORDER BY each.at DESC LIMIT 1
        ) AS before
    ), passed AS (
        SELECT taken.*,
            CASE WHEN taken.rx_bytes >= lag(taken.rx_bytes) OVER in_time THEN taken.rx_bytes - lag(taken.rx_bytes) OVER in_time
                WHEN lag(taken.rx_bytes) OVER in_time IS NOT NULL THEN taken.rx_bytes END AS rx_passed,
            CASE WHEN taken.tx_bytes >= lag(taken.tx_bytes) OVER in_time THEN taken.tx_bytes - lag(taken.tx_bytes) OVER in_time
                WHEN lag(taken.tx_bytes) OVER in_time IS NOT NULL THEN taken.tx_bytes END AS tx_passed
        FROM taken WINDOW in_time AS (PARTITION BY taken.serial ORDER BY taken.at)
    )
    SELECT passed.serial, date_bin(step, passed.at, '2000-01-01+00'), count(*)::integer,
        (count(*) FILTER (WHERE passed.status = 'online'))::integer,
        avg(passed.rssi_dbm)::real, avg(passed.rsrp_dbm)::real, min(passed.rsrp_dbm), max(passed.rsrp_dbm),
        avg(passed.rsrq_db)::real, avg(passed.sinr_db)::real, sum(rx_passed)::bigint, sum(tx_passed)::bigint
    FROM passed WHERE passed.at >= begun GROUP BY 1, 2
$$;

-- Hours and days out of the finer steps; means are weighed by how many samples are in them.
CREATE FUNCTION thin_modem_history(of_serials text[], begun timestamptz, stop timestamptz, finer integer, coarser integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO modem_history (step_seconds, serial, at, samples, online, rssi_dbm, rsrp_dbm, rsrp_least_dbm, rsrp_most_dbm,
        rsrq_db, sinr_db, rx_bytes, tx_bytes)
    SELECT coarser, serial, date_bin(make_interval(secs => coarser), at, '2000-01-01+00'), sum(samples), sum(online),
        (sum(rssi_dbm * samples) / sum(samples) FILTER (WHERE rssi_dbm IS NOT NULL))::real,
        (sum(rsrp_dbm * samples) / sum(samples) FILTER (WHERE rsrp_dbm IS NOT NULL))::real,
        min(rsrp_least_dbm), max(rsrp_most_dbm),
        (sum(rsrq_db * samples) / sum(samples) FILTER (WHERE rsrq_db IS NOT NULL))::real,
        (sum(sinr_db * samples) / sum(samples) FILTER (WHERE sinr_db IS NOT NULL))::real,
        sum(rx_bytes)::bigint, sum(tx_bytes)::bigint
    FROM modem_history
    WHERE step_seconds = finer AND (of_serials IS NULL OR serial = ANY(of_serials))
        AND at >= date_bin(make_interval(secs => coarser), begun, '2000-01-01+00')
        AND at < date_bin(make_interval(secs => coarser), stop - interval '1 microsecond', '2000-01-01+00')
            + make_interval(secs => coarser)
    GROUP BY 2, 3
    ON CONFLICT (step_seconds, serial, at) DO UPDATE SET
        samples = excluded.samples, online = excluded.online, rssi_dbm = excluded.rssi_dbm, rsrp_dbm = excluded.rsrp_dbm,
        rsrp_least_dbm = excluded.rsrp_least_dbm, rsrp_most_dbm = excluded.rsrp_most_dbm, rsrq_db = excluded.rsrq_db,
        sinr_db = excluded.sinr_db, rx_bytes = excluded.rx_bytes, tx_bytes = excluded.tx_bytes
$$;

CREATE FUNCTION write_modem_history(of_serials text[], begun timestamptz, stop timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO modem_history (step_seconds, serial, at, samples, online, rssi_dbm, rsrp_dbm, rsrp_least_dbm, rsrp_most_dbm,
        rsrq_db, sinr_db, rx_bytes, tx_bytes)
    SELECT 300, measured.* FROM measure_modems(of_serials, begun, stop, '5 minutes') AS measured
    ON CONFLICT (step_seconds, serial, at) DO UPDATE SET
        samples = excluded.samples, online = excluded.online, rssi_dbm = excluded.rssi_dbm, rsrp_dbm = excluded.rsrp_dbm,
        rsrp_least_dbm = excluded.rsrp_least_dbm, rsrp_most_dbm = excluded.rsrp_most_dbm, rsrq_db = excluded.rsrq_db,
        sinr_db = excluded.sinr_db, rx_bytes = excluded.rx_bytes, tx_bytes = excluded.tx_bytes;
    PERFORM thin_modem_history(of_serials, begun, stop, 300, 3600);
    PERFORM thin_modem_history(of_serials, begun, stop, 3600, 86400);
END
$$;

CREATE FUNCTION write_session_history(begun timestamptz, stop timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    finer integer := 300;
    coarser integer;
BEGIN
    INSERT INTO session_history (step_seconds, at, outcome, sessions, seconds, messages)
    SELECT 300, date_bin('5 minutes', ended_at, '2000-01-01+00'), outcome, count(*),
        sum(extract(epoch FROM ended_at - started_at)), sum(messages_exchanged)
    FROM sessions WHERE ended_at >= begun AND ended_at < stop GROUP BY 2, 3
    ON CONFLICT (step_seconds, at, outcome) DO UPDATE SET
        sessions = excluded.sessions, seconds = excluded.seconds, messages = excluded.messages;
    FOREACH coarser IN ARRAY ARRAY[3600, 86400] LOOP
        INSERT INTO session_history (step_seconds, at, outcome, sessions, seconds, messages)
        SELECT coarser, date_bin(make_interval(secs => coarser), at, '2000-01-01+00'), outcome, sum(sessions), sum(seconds),
            sum(messages)
        FROM session_history
        WHERE step_seconds = finer AND at >= date_bin(make_interval(secs => coarser), begun, '2000-01-01+00')
            AND at < date_bin(make_interval(secs => coarser), stop - interval '1 microsecond', '2000-01-01+00')
                + make_interval(secs => coarser)
        GROUP BY 2, 3
        ON CONFLICT (step_seconds, at, outcome) DO UPDATE SET
            sessions = excluded.sessions, seconds = excluded.seconds, messages = excluded.messages;
        finer := coarser;
    END LOOP;
END
$$;

-- Takes the next bite of what was measured into the history; how many minutes that were. 0: nothing is left, or somebody
-- else is at it. What is younger than two minutes is left for the next time: it may be on its way.
CREATE FUNCTION advance_history(of_source text, bite interval) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    begun timestamptz;
    stop timestamptz;
BEGIN
    SELECT until INTO begun FROM history_marks WHERE source = of_source FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    stop := least(begun + bite, date_bin('5 minutes', now() - interval '2 minutes', '2000-01-01+00'));
    IF stop <= begun THEN
        RETURN 0;
    END IF;
    IF of_source = 'modems' THEN
        PERFORM write_modem_history(NULL, begun, stop);
    ELSE
        PERFORM write_session_history(begun, stop);
    END IF;
    UPDATE history_marks SET until = stop WHERE source = of_source;
    RETURN extract(epoch FROM stop - begun) / 60;
END
$$;

-- Does the hours again that samples came late for, as far as their samples are still there; how many that were.
CREATE FUNCTION mend_history(keep_days integer, most integer) RETURNS integer
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    late history_late;
    done_until timestamptz;
    hours integer := 0;
BEGIN
    -- Nobody advances meanwhile: it would begin from where the samples of before end.
    SELECT until INTO done_until FROM history_marks WHERE source = 'modems' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    FOR late IN
        DELETE FROM history_late WHERE (serial, hour) IN (
            SELECT serial, hour FROM history_late ORDER BY hour, serial LIMIT most FOR UPDATE SKIP LOCKED)
        RETURNING *
    LOOP
        hours := hours + 1;
        -- The step after the hour counts its traffic from the last sample in it.
        IF late.hour >= current_date - keep_days AND late.hour < done_until THEN
            PERFORM write_modem_history(ARRAY[late.serial], late.hour, least(late.hour + interval '65 minutes', done_until));
        END IF;
    END LOOP;
    RETURN hours;
END
$$;

-- Partitions of one month (days: of one year), made ahead and dropped when all of them is past its time. Rows for which
-- there was none wait in the default one.
CREATE FUNCTION maintain_history_partitions(fine_days integer, hour_days integer, day_days integer) RETURNS integer
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    source text;
    step integer;
    parent text;
    part text;
    digits integer;
    pattern text;
    width interval;
    keep interval;
    begins timestamptz;
    waiting timestamptz;
    dropped integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lastmile partitions', 0));
    FOREACH source IN ARRAY ARRAY['modem_history', 'session_history'] LOOP
        FOREACH step IN ARRAY ARRAY[300, 3600, 86400] LOOP
            parent := source || '_' || step;
            width := CASE step WHEN 86400 THEN interval '1 year' ELSE interval '1 month' END;
            pattern := CASE step WHEN 86400 THEN 'YYYY' ELSE 'YYYYMM' END;
            digits := length(pattern);
            keep := make_interval(days => CASE step WHEN 300 THEN fine_days WHEN 3600 THEN hour_days ELSE day_days END);
            EXECUTE format('SELECT min(at) FROM %I WHERE at >= %L', parent || '_default', now() - keep) INTO waiting;
            FOR begins IN
                SELECT generate_series(date_trunc(CASE step WHEN 86400 THEN 'year' ELSE 'month' END,
                    least(coalesce(waiting, now()), now() - interval '1 day')), now() + width, width)
            LOOP
                part := parent || '_' || to_char(begins, pattern);
                CONTINUE WHEN to_regclass(part) IS NOT NULL;
                EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent);
                EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
                EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
                EXECUTE format(
                    'WITH moved AS (DELETE FROM %I WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                    parent || '_default', begins, begins + width, part);
                EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                    parent, part, begins, begins + width);
            END LOOP;
            FOR part IN
                SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
                WHERE inhparent = parent::regclass AND relname ~ ('_[0-9]{' || digits || '}$')
                AND to_date(right(relname, digits), pattern) + width < now() - keep
            LOOP
                EXECUTE format('DROP TABLE %I', part);
                dropped := dropped + 1;
            END LOOP;
            EXECUTE format('DELETE FROM %I WHERE at < %L', parent || '_default', now() - keep);
        END LOOP;
    END LOOP;
    RETURN dropped;
END
$$;
DO $$ BEGIN PERFORM maintain_history_partitions(90, 1095, 3650); END $$;
