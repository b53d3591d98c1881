-- name: fetch_search_parameters
SELECT id, path, ready, used_at < now() - interval '1 hour' AS stale FROM search_parameters WHERE path = ANY(%(paths)s::text[])

-- name: note_use
UPDATE search_parameters SET used_at = now() WHERE id = ANY(%(ids)s::integer[])

-- name: want_search
-- What has not been used for a day gives way to what is used, from the oldest on.
WITH known AS (
    SELECT count(*) AS rows FROM search_parameters
), oldest AS (
    SELECT id FROM search_parameters WHERE used_at < now() - interval '1 day'
    AND (SELECT rows FROM known) >= %(most)s ORDER BY used_at LIMIT 1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM search_parameters WHERE id IN (SELECT id FROM oldest) RETURNING id
), added AS (
    INSERT INTO search_parameters (path, top, pattern)
    SELECT %(path)s, %(top)s, %(pattern)s
    WHERE (SELECT rows FROM known) - (SELECT count(*) FROM gone) < %(most)s
    ON CONFLICT (path) DO NOTHING RETURNING id
)
SELECT pg_notify('search_parameter', '') FROM added

-- name: fetch_unready
SELECT id FROM search_parameters WHERE NOT ready ORDER BY id

-- name: fill_search
SELECT fill_search(%(parameter)s, %(devices)s)

-- name: fetch_progress
SELECT least(1, min(filled_to)::double precision / greatest(1, (SELECT max(id) FROM devices)))
FROM search_parameters WHERE path = ANY(%(paths)s::text[]) AND NOT ready

-- name: fetch_columns
SELECT devices.device_id, wanted.path, given.value
FROM devices CROSS JOIN unnest(%(paths)s::text[], %(tops)s::text[]) AS wanted (path, top)
CROSS JOIN LATERAL (
    SELECT chunk."values" ->> wanted.path AS value FROM parameter_chunks AS chunk
    WHERE chunk.device_id = devices.id AND chunk.top = wanted.top
    UNION ALL
    SELECT inform."values" ->> wanted.path FROM device_informs AS inform WHERE inform.device_id = devices.id
) AS given
WHERE devices.device_id = ANY(%(device_ids)s::text[]) AND given.value IS NOT NULL

-- The pieces of a condition on a stored value; _n stands for its number, SOURCE for one of the first three.

-- name: source_ready
(SELECT device_id, value, number FROM search_values WHERE parameter_id = %(parameter_n)s)

-- name: source_path
(SELECT chunk.device_id, left(chunk."values" ->> %(path_n)s::text, 257) COLLATE "C" AS value,
    search_number(chunk."values" ->> %(path_n)s::text) AS number
FROM parameter_chunks AS chunk WHERE chunk.top = %(top_n)s AND chunk."values" ->> %(path_n)s::text IS NOT NULL
UNION ALL
SELECT inform.device_id, left(inform."values" ->> %(path_n)s::text, 257) COLLATE "C",
    search_number(inform."values" ->> %(path_n)s::text)
FROM device_informs AS inform WHERE inform."values" ->> %(path_n)s::text IS NOT NULL)

-- name: source_pattern
(SELECT chunk.device_id, left(each.value, 257) COLLATE "C" AS value, search_number(each.value) AS number
FROM parameter_chunks AS chunk CROSS JOIN LATERAL jsonb_each_text(chunk."values") AS each
WHERE chunk.top = %(top_n)s AND each.key ~ %(pattern_n)s AND each.value IS NOT NULL
UNION ALL
SELECT inform.device_id, left(each.value, 257) COLLATE "C", search_number(each.value)
FROM device_informs AS inform CROSS JOIN LATERAL jsonb_each_text(inform."values") AS each
WHERE each.key ~ %(pattern_n)s AND each.value IS NOT NULL)

-- name: value_equals
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = search_number(%(value_n)s) AND stored.value = %(value_n)s)

-- name: value_differs
devices.id IN (SELECT device_id FROM SOURCE AS stored)
AND devices.id NOT IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = search_number(%(value_n)s) AND stored.value = %(value_n)s)

-- name: value_contains
devices.id IN (SELECT device_id FROM SOURCE AS stored WHERE stored.value ILIKE %(value_n)s)

-- name: value_begins
devices.id IN (SELECT device_id FROM SOURCE AS stored WHERE starts_with(stored.value, %(value_n)s))

-- name: value_above
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = 'Infinity' AND stored.value > %(value_n)s)

-- name: value_at_least
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = 'Infinity' AND stored.value >= %(value_n)s)

-- name: value_below
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = 'Infinity' AND stored.value < %(value_n)s)

-- name: value_at_most
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number = 'Infinity' AND stored.value <= %(value_n)s)

-- name: number_above
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number > %(number_n)s AND stored.number < 'Infinity')

-- name: number_at_least
devices.id IN (SELECT device_id FROM SOURCE AS stored
    WHERE stored.number >= %(number_n)s AND stored.number < 'Infinity')

-- name: number_below
devices.id IN (SELECT device_id FROM SOURCE AS stored WHERE stored.number < %(number_n)s)

-- name: number_at_most
devices.id IN (SELECT device_id FROM SOURCE AS stored WHERE stored.number <= %(number_n)s)

-- name: value_present
devices.id IN (SELECT device_id FROM SOURCE AS stored)

-- name: value_absent
devices.id NOT IN (SELECT device_id FROM SOURCE AS stored)

-- name: from_sorted
FROM SOURCE AS stored
JOIN devices ON devices.id = stored.device_id
LEFT JOIN device_informs AS inform ON inform.device_id = devices.id
LEFT JOIN cwmp_sessions AS session ON session.device_id = devices.id

-- name: key_sorted
json_build_array(stored.number::text, stored.value, devices.id)::text

-- name: key_unsorted
json_build_array(NULL, NULL, devices.id)::text

-- name: order_sorted
stored.number, stored.value, stored.device_id

-- name: order_sorted_descending
stored.number DESC, stored.value DESC, stored.device_id DESC

-- name: behind_sorted
(stored.number, stored.value, stored.device_id) > (%(after_number)s::double precision, %(after_value)s::text, %(after_row)s::bigint)

-- name: behind_sorted_descending
(stored.number, stored.value, stored.device_id) < (%(after_number)s::double precision, %(after_value)s::text, %(after_row)s::bigint)

-- name: behind_unsorted
devices.id > %(after_row)s::bigint

-- name: where_text
(devices.device_id ILIKE %(text)s OR devices.serial_number ILIKE %(text)s OR devices.product_class ILIKE %(text)s
    OR devices.manufacturer ILIKE %(text)s OR devices.software_version ILIKE %(text)s
    OR host(devices.ip_address) ILIKE %(text)s
    OR devices.id IN (SELECT device_id FROM device_tags WHERE tag ILIKE %(text)s))

-- name: suggest
SELECT path FROM (
    SELECT DISTINCT replace(entry.path, '{i}', '*') AS path
    FROM model_parameters AS model CROSS JOIN LATERAL jsonb_object_keys(model.entries) AS entry (path)
    WHERE entry.path NOT LIKE '%%.'
) AS known
WHERE path ILIKE %(text)s ORDER BY length(path), path LIMIT %(limit)s
