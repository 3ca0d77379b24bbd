-- CREATE INDEX stops all writes to the table until it is built; CONCURRENTLY does
-- not, but PostgreSQL refuses it inside a transaction.
-- A file without a transaction can stop half way, so it holds one statement.
-- A build that was stopped leaves an INVALID index behind, which takes up the name and
-- answers no query. IF NOT EXISTS would take it for the real one: leave it out.

-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY orders_customer_id_placed_at_idx
ON shop.orders (customer_id, placed_at DESC);

-- IF EXISTS here, for the opposite reason: it lets a stopped Down be run again.
-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS shop.orders_customer_id_placed_at_idx;
