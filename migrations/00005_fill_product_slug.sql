-- Expand, step 2 of 4, in the release after the one that writes slugs: fill the rows
-- that are older. ALTER TABLE is kept out of this file on purpose: a writer that waits
-- for one of our rows while we wait for its lock on the table is a deadlock, and
-- PostgreSQL may well cancel the service's statement instead of ours.
-- One UPDATE is right for thousands of rows. Millions want batches, each committed.

-- +goose Up
UPDATE shop.products
SET slug = btrim(regexp_replace(lower(name), '[^a-z0-9]+', '-', 'g') || '-' || id, '-')
WHERE slug IS NULL;

-- Nothing to take back: which slugs were filled here is not known any more, and step 1
-- drops the column.
-- +goose Down
