-- Users and their notes.
-- +goose Up
CREATE TABLE users (
    id bigint PRIMARY KEY, -- the key
    name text NOT NULL DEFAULT 'it''s'
);

-- A function needs a block, for its body has semicolons.
-- +goose StatementBegin
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name := 'x;';
    RETURN NEW;
END
$$;
-- +goose StatementEnd

CREATE INDEX ON users (name); -- by name

-- +goose Down
DROP FUNCTION touch;
DROP TABLE users;
