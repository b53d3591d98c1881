-- name: fetch_inform_values
SELECT "values" FROM device_informs WHERE device_id = %(device)s

-- name: fetch_chunks
SELECT top, part, parts, extract(epoch FROM at)::double precision AS at, "values", times FROM parameter_chunks
WHERE device_id = %(device)s AND top = ANY(%(tops)s)

-- name: fetch_chunks_below
SELECT top, part, parts, extract(epoch FROM at)::double precision AS at, "values", times FROM parameter_chunks
WHERE device_id = %(device)s AND (
    top = ANY(%(tops)s) OR EXISTS (SELECT FROM unnest(%(roots)s::text[]) AS root WHERE starts_with(top, root)))

-- name: save_chunks
INSERT INTO parameter_chunks (device_id, top, part, parts, at, "values", times)
SELECT %(device)s, chunk.top, chunk.part, chunk.parts, to_timestamp(chunk.at), chunk."values"::jsonb, chunk.times::jsonb
FROM unnest(%(tops)s::text[], %(part)s::smallint[], %(parts)s::smallint[], %(at)s::double precision[], %(values)s::text[],
    %(times)s::text[]) AS chunk (top, part, parts, at, "values", times)
ON CONFLICT (device_id, top, part) DO UPDATE SET
    parts = excluded.parts, at = excluded.at, "values" = excluded."values", times = excluded.times

-- name: remove_chunks
DELETE FROM parameter_chunks USING unnest(%(tops)s::text[], %(part)s::smallint[]) AS gone (top, part)
WHERE parameter_chunks.device_id = %(device)s AND parameter_chunks.top = gone.top AND parameter_chunks.part = gone.part

-- name: merge_inform_values
UPDATE device_informs SET "values" = "values" || %(values)s::jsonb, at = now()
WHERE device_id = %(device)s AND NOT "values" @> %(values)s::jsonb

-- name: drop_inform_values
UPDATE device_informs SET "values" = "values" - %(paths)s::text[] WHERE device_id = %(device)s

-- name: add_to_count
UPDATE devices SET parameter_count = greatest(0, parameter_count + %(change)s) WHERE id = %(device)s

-- name: fetch_model
SELECT top, entries FROM model_parameters WHERE model_id = %(model)s

-- name: save_model
INSERT INTO model_parameters AS known (model_id, top, entries)
SELECT %(model)s, news.top, news.entries::jsonb FROM unnest(%(tops)s::text[], %(entries)s::text[]) AS news (top, entries)
ON CONFLICT (model_id, top) DO UPDATE SET entries = known.entries || excluded.entries

-- name: save_exceptions
INSERT INTO parameter_exceptions AS known (device_id, entries) VALUES (%(device)s, %(entries)s::jsonb)
ON CONFLICT (device_id) DO UPDATE SET entries = known.entries || (
    SELECT jsonb_object_agg(news.path, jsonb_build_array(
        coalesce(nullif(news.entry -> 0, 'null'), known.entries -> news.path -> 0),
        coalesce(nullif(news.entry -> 1, 'null'), known.entries -> news.path -> 1)))
    FROM jsonb_each(excluded.entries) AS news (path, entry))
