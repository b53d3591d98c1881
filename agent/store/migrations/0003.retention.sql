-- Partitions of one day (UTC) each: made ahead, dropped when they are past their time.

-- Returns how many partitions were dropped. Rows for which there was no partition wait in the default one.
CREATE FUNCTION maintain_partitions(keep_days integer, ahead_days integer DEFAULT 3) RETURNS integer
LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    parent text;
    part text;
    day date;
    first_day date := current_date - keep_days;
    dropped integer := 0;
BEGIN
    -- One at a time; whoever comes second finds nothing left to do.
    PERFORM pg_advisory_xact_lock(hashtextextended('lastmile partitions', 0));
    FOREACH parent IN ARRAY ARRAY['modem_logs', 'modem_samples'] LOOP
        FOR day IN SELECT generate_series(current_date - 1, current_date + ahead_days, interval '1 day')::date LOOP
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass(part) IS NOT NULL;
            -- Writers must wait before they choose a partition, else they would end up in a default that refuses them.
            EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', parent);
            EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
            EXECUTE format(
                'WITH moved AS (DELETE FROM %I WHERE at >= %L AND at < %L RETURNING *) INSERT INTO %I SELECT * FROM moved',
                parent || '_default', day, day + 1, part);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, day, day + 1);
        END LOOP;
        FOR part IN
            SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
            WHERE inhparent = parent::regclass AND relname ~ '_[0-9]{8}$'
            AND to_date(right(relname, 8), 'YYYYMMDD') < first_day
        LOOP
            EXECUTE format('DROP TABLE %I', part);
            dropped := dropped + 1;
        END LOOP;
        EXECUTE format('DELETE FROM %I WHERE at < %L', parent || '_default', first_day);
    END LOOP;
    RETURN dropped;
END
$$;
