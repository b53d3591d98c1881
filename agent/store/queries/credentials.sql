-- name: fetch_credentials
SELECT username, realm, device_id, created_at FROM cpe_credentials ORDER BY username

-- name: fetch_credential
SELECT username, realm, device_id, created_at FROM cpe_credentials WHERE username = %(username)s

-- name: add_credential
INSERT INTO cpe_credentials (username, realm, ha1_md5, ha1_sha256, device_id)
VALUES (%(username)s, %(realm)s, %(ha1_md5)s, %(ha1_sha256)s, %(device_id)s)

-- name: remove_credential
DELETE FROM cpe_credentials WHERE username = %(username)s
