-- The last token of each family that is neither used nor idle, to be counted.
CREATE INDEX refresh_token_last ON refresh_token (idle_expires_at) WHERE used_at IS NULL;
