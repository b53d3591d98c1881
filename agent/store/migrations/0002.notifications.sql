-- What the tables tell: events in order, NOTIFY, and the history of addresses.

-- Whoever changes modems holds this lock from before the first row is locked until the commit. So the ids of events
-- become visible in their order, and nobody can hold a modem's row while waiting for the lock (no deadlock).
CREATE FUNCTION lock_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lastmile events', 0));
    RETURN NULL;
END
$$;

CREATE TRIGGER modems_lock_events BEFORE INSERT OR UPDATE OR DELETE ON modems
    FOR EACH STATEMENT EXECUTE FUNCTION lock_events();

-- What a person would care about; signal, counters and times of reports are left out.
CREATE FUNCTION modem_changes(old_modem modems, new_modem modems) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_object_agg(key, jsonb_build_object('old', before.value, 'new', after.value)), '{}'::jsonb)
    FROM jsonb_each(to_jsonb(new_modem)) AS after JOIN jsonb_each(to_jsonb(old_modem)) AS before USING (key)
    WHERE before.value <> after.value AND key IN (
        'host', 'slot', 'path', 'interface', 'proxy_port', 'uid', 'fib_table', 'status', 'reason', 'enabled', 'apn',
        'imei', 'iccid', 'imsi', 'model', 'revision', 'operator', 'access_technology', 'registration',
        'wan_address', 'wan_address_ipv6', 'proxy_running')
$$;

CREATE FUNCTION stamp_modem() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF modem_changes(OLD, NEW) <> '{}'::jsonb THEN
        NEW.changed_at := CASE WHEN NEW.reported_at IS DISTINCT FROM OLD.reported_at THEN NEW.reported_at ELSE now() END;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER modems_stamp BEFORE UPDATE ON modems FOR EACH ROW EXECUTE FUNCTION stamp_modem();

CREATE FUNCTION announce_modem() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    modem modems;
    changes jsonb;
    event_id bigint;
BEGIN
    IF TG_OP = 'DELETE' THEN modem := OLD; ELSE modem := NEW; END IF;
    IF TG_OP = 'UPDATE' THEN changes := modem_changes(OLD, NEW); END IF;
    IF changes IS DISTINCT FROM '{}'::jsonb THEN
        INSERT INTO events (at, kind, serial, host, payload)
        VALUES (
            CASE WHEN TG_OP = 'UPDATE' THEN NEW.changed_at ELSE now() END,
            CASE TG_OP WHEN 'INSERT' THEN 'modem_added' WHEN 'UPDATE' THEN 'modem_changed' ELSE 'modem_removed' END,
            modem.serial,
            modem.host,
            jsonb_strip_nulls(jsonb_build_object('status', modem.status)) || coalesce(jsonb_build_object('changes', changes), '{}')
        )
        RETURNING id INTO event_id;
    END IF;
    PERFORM pg_notify('modem_change', json_build_object(
        'serial', modem.serial, 'host', modem.host, 'status', modem.status, 'event', event_id)::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER modems_announce AFTER INSERT OR UPDATE OR DELETE ON modems
    FOR EACH ROW EXECUTE FUNCTION announce_modem();

CREATE FUNCTION record_address(of_serial text, old_address inet, new_address inet, changed_at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF old_address IS NOT DISTINCT FROM new_address THEN
        RETURN;
    END IF;
    -- A clock that was set back must not make a period end before it began.
    UPDATE address_history SET valid_until = greatest(valid_from, changed_at)
    WHERE serial = of_serial AND address = old_address AND valid_until IS NULL;
    IF new_address IS NOT NULL THEN
        INSERT INTO address_history (serial, address, valid_from) VALUES (of_serial, new_address, changed_at);
    END IF;
END
$$;

CREATE FUNCTION follow_modem() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before modems;
BEGIN
    IF TG_OP = 'UPDATE' THEN before := OLD; END IF;
    PERFORM record_address(NEW.serial, before.wan_address, NEW.wan_address, NEW.changed_at);
    PERFORM record_address(NEW.serial, before.wan_address_ipv6, NEW.wan_address_ipv6, NEW.changed_at);
    IF NEW.iccid IS NOT NULL AND (before.iccid, before.imsi) IS DISTINCT FROM (NEW.iccid, NEW.imsi) THEN
        INSERT INTO sims AS sim (iccid, imsi, serial, first_seen, last_seen)
        VALUES (NEW.iccid, NEW.imsi, NEW.serial, NEW.changed_at, NEW.changed_at)
        ON CONFLICT (iccid) DO UPDATE SET
            imsi = coalesce(excluded.imsi, sim.imsi), serial = excluded.serial,
            last_seen = greatest(sim.last_seen, excluded.last_seen);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER modems_follow AFTER INSERT OR UPDATE OF wan_address, wan_address_ipv6, iccid, imsi ON modems
    FOR EACH ROW EXECUTE FUNCTION follow_modem();

CREATE FUNCTION announce_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('modem_command', modems.host) FROM modems WHERE modems.serial = NEW.serial;
    RETURN NULL;
END
$$;

CREATE TRIGGER modem_commands_announce AFTER INSERT ON modem_commands
    FOR EACH ROW EXECUTE FUNCTION announce_command();

CREATE FUNCTION announce_command_done() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('modem_command_done', NEW.id::text);
    RETURN NULL;
END
$$;

CREATE TRIGGER modem_commands_announce_done AFTER UPDATE OF state ON modem_commands
    FOR EACH ROW WHEN (NEW.state IN ('done', 'failed', 'expired') AND OLD.state <> NEW.state)
    EXECUTE FUNCTION announce_command_done();
