-- name: fetch_file
SELECT name, kind, size, sha256 FROM files WHERE name = %(name)s

-- name: fetch_transfer
SELECT tasks.id AS task, devices.device_id, tasks.kind, tasks.arguments ->> 'file' AS file,
    coalesce(tasks.arguments ->> 'file_type', '') AS file_type
FROM tasks JOIN devices ON devices.id = tasks.device_id
WHERE tasks.id = %(task)s AND tasks.status = 'sent' AND tasks.kind IN ('download', 'upload')

-- name: add_upload
INSERT INTO files (name, kind, oui, product_class, size, sha256, created_by)
SELECT %(name)s, 'upload', devices.oui, devices.product_class, %(size)s, %(sha256)s, %(created_by)s
FROM tasks JOIN devices ON devices.id = tasks.device_id WHERE tasks.id = %(task)s
ON CONFLICT (name) DO UPDATE SET size = excluded.size, sha256 = excluded.sha256, created_at = now()

-- name: note_upload
UPDATE tasks SET result = coalesce(result, '{}') || jsonb_build_object('file', %(name)s::text, 'size', %(size)s::bigint)
WHERE id = %(task)s
