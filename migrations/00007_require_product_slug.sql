-- Expand, step 4 of 4: VALIDATE reads the table while others read and write it.
-- It is a file of its own because a transaction keeps its locks to the end: beside the
-- ADD CONSTRAINT of step 3 it would read under that one's lock, and stop everybody.
-- After it SET NOT NULL takes the valid check as proof and reads nothing.

-- +goose Up
ALTER TABLE shop.products VALIDATE CONSTRAINT products_slug_present;
ALTER TABLE shop.products ALTER COLUMN slug SET NOT NULL;
ALTER TABLE shop.products DROP CONSTRAINT products_slug_present;

-- +goose Down
ALTER TABLE shop.products
ADD CONSTRAINT products_slug_present CHECK (slug IS NOT NULL) NOT VALID;
ALTER TABLE shop.products ALTER COLUMN slug DROP NOT NULL;
