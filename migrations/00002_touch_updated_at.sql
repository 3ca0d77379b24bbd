-- A function's body is full of semicolons, and goose ends a statement at each line
-- that ends with one. The block below keeps the body in one piece.
-- The empty search_path makes the function mean the same for every caller.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION shop.touch_updated_at() RETURNS trigger
LANGUAGE plpgsql
SET search_path = ''
AS $body$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END;
$body$;
-- +goose StatementEnd

CREATE TRIGGER customers_touch_updated_at
BEFORE UPDATE ON shop.customers
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION shop.touch_updated_at();

CREATE TRIGGER products_touch_updated_at
BEFORE UPDATE ON shop.products
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION shop.touch_updated_at();

CREATE TRIGGER orders_touch_updated_at
BEFORE UPDATE ON shop.orders
FOR EACH ROW WHEN (OLD IS DISTINCT FROM NEW)
EXECUTE FUNCTION shop.touch_updated_at();

-- +goose Down
DROP TRIGGER orders_touch_updated_at ON shop.orders;
DROP TRIGGER products_touch_updated_at ON shop.products;
DROP TRIGGER customers_touch_updated_at ON shop.customers;
DROP FUNCTION shop.touch_updated_at();
