-- name: add_counts
INSERT INTO acs_counters AS known (name, label, label_value, value)
SELECT * FROM unnest(%(names)s::text[], %(labels)s::text[], %(label_values)s::text[], %(counts)s::double precision[])
ON CONFLICT (name, label, label_value) DO UPDATE SET value = known.value + excluded.value

-- name: fetch_counts
SELECT name, label, label_value, value FROM acs_counters ORDER BY name, label, label_value
