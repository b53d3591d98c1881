-- name: fetch_for
SELECT id, owner, name, shared, query, created_at FROM saved_filters
WHERE owner = %(owner)s OR shared ORDER BY lower(name), id

-- name: fetch
SELECT id, owner, name, shared, query, created_at FROM saved_filters WHERE id = %(id)s AND (owner = %(owner)s OR shared)

-- name: save
-- A name that is taken is the owner's own: what it stands for is replaced.
INSERT INTO saved_filters (owner, name, shared, query)
SELECT %(owner)s, %(name)s, %(shared)s, %(query)s
WHERE (SELECT count(*) FROM saved_filters WHERE owner = %(owner)s AND name <> %(name)s) < %(most)s
ON CONFLICT (owner, name) DO UPDATE SET shared = excluded.shared, query = excluded.query
RETURNING id, owner, name, shared, query, created_at

-- name: delete
DELETE FROM saved_filters WHERE id = %(id)s AND (owner = %(owner)s OR (shared AND %(any_owner)s))
