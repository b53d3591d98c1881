-- name: fetch_device
SELECT id, model_id FROM devices WHERE device_id = %(device_id)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))

-- name: fetch_values
SELECT chunk."values", extract(epoch FROM chunk.at)::double precision AS at, chunk.times
FROM parameter_chunks AS chunk
WHERE chunk.device_id = %(device)s
AND (starts_with(chunk.top, %(prefix)s) OR starts_with(%(prefix)s, chunk.top))
AND (%(since)s::timestamptz IS NULL OR chunk.at > %(since)s OR chunk.times IS NOT NULL)
UNION ALL
SELECT inform."values", extract(epoch FROM inform.at)::double precision, NULL
FROM device_informs AS inform
WHERE inform.device_id = %(device)s AND (%(since)s::timestamptz IS NULL OR inform.at > %(since)s)

-- name: fetch_traits
SELECT entries, false AS own FROM model_parameters WHERE model_id = %(model)s AND top = ANY(%(tops)s::text[])
UNION ALL
SELECT entries, true FROM parameter_exceptions WHERE device_id = %(device)s
ORDER BY own

-- name: fetch_by_words
SELECT inform."values" FROM devices JOIN device_informs AS inform ON inform.device_id = devices.id
WHERE devices.device_id = %(device_id)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
UNION ALL
SELECT chunk."values" FROM devices JOIN parameter_chunks AS chunk ON chunk.device_id = devices.id
WHERE devices.device_id = %(device_id)s
AND (%(scope_tags)s::text[] IS NULL OR EXISTS (
    SELECT FROM device_tags WHERE device_tags.device_id = devices.id AND tag = ANY(%(scope_tags)s::text[])))
AND chunk.top IN (SELECT root || word FROM unnest(ARRAY['Device.', 'InternetGatewayDevice.']) AS root,
    unnest(%(words)s::text[]) AS word)
