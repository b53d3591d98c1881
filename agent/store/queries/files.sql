-- name: fetch_files
SELECT name, kind, oui, product_class, version, size, sha256, created_by, created_at FROM files
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s)
AND (%(oui)s::text IS NULL OR oui IN ('', %(oui)s))
AND (%(product_class)s::text IS NULL OR product_class IN ('', %(product_class)s))
AND (%(after)s::text IS NULL OR name > %(after)s)
AND (%(scope_tags)s::text[] IS NULL OR kind <> 'upload')
ORDER BY name LIMIT %(limit)s

-- name: fetch_file
SELECT name, kind, oui, product_class, version, size, sha256, created_by, created_at FROM files WHERE name = %(name)s
AND (%(scope_tags)s::text[] IS NULL OR kind <> 'upload')

-- name: lock_content
SELECT pg_advisory_xact_lock(hashtextextended('lastmile file ' || %(sha256)s, 0))

-- name: add_file
INSERT INTO files (name, kind, oui, product_class, version, size, sha256, created_by)
VALUES (%(name)s, %(kind)s, %(oui)s, %(product_class)s, %(version)s, %(size)s, %(sha256)s, %(created_by)s)

-- name: lock_file
SELECT sha256 FROM files WHERE name = %(name)s FOR UPDATE

-- name: find_download
SELECT id FROM tasks
WHERE status IN ('pending', 'sent') AND kind = 'download' AND arguments ->> 'file' = %(name)s ORDER BY id LIMIT 1

-- name: delete_file
DELETE FROM files WHERE name = %(name)s

-- name: has_content
SELECT EXISTS (SELECT FROM files WHERE sha256 = %(sha256)s)
