-- Expand, step 1 of 4: products get a slug, for readable addresses.
-- The old version of the service is still running and does not know the column, so it
-- must be allowed to be empty. Without a default computed for each row the change
-- touches no row: it is done at once, however large the table is.

-- +goose Up
ALTER TABLE shop.products ADD COLUMN slug text;

-- +goose Down
ALTER TABLE shop.products DROP COLUMN slug;
