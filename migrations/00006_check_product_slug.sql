-- Expand, step 3 of 4: from now on no product comes without a slug.
-- SET NOT NULL would read the whole table while nobody else may touch it. A check that
-- is NOT VALID reads nothing: it holds for what is written from here on.
-- It also refuses an UPDATE of an old row without a slug, so step 2 had to come first.

-- +goose Up
ALTER TABLE shop.products
ADD CONSTRAINT products_slug_present CHECK (slug IS NOT NULL) NOT VALID;

-- +goose Down
ALTER TABLE shop.products DROP CONSTRAINT products_slug_present;
