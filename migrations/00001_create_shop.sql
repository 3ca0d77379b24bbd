-- Every name is written with its schema: the file then means the same under any
-- search_path, and nothing of ours meets what others keep in "public".
-- Checks and references have names, because the day comes when a migration must drop one.
-- All of it is one transaction: the shop is there as a whole, or not at all.

-- +goose Up
CREATE SCHEMA shop;

CREATE TABLE shop.currencies (
    code text PRIMARY KEY,
    minor_digits smallint NOT NULL,
    CONSTRAINT currencies_code_is_iso CHECK (code ~ '^[A-Z]{3}$'),
    CONSTRAINT currencies_minor_digits_in_range CHECK (minor_digits BETWEEN 0 AND 4)
);

CREATE TABLE shop.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT customers_email_has_at CHECK (email LIKE '%_@_%')
);

CREATE UNIQUE INDEX customers_email_key ON shop.customers (lower(email));

-- Money is counted in the currency's smallest unit: no rounding, no float.
CREATE TABLE shop.products (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL UNIQUE,
    name text NOT NULL,
    price_minor bigint NOT NULL,
    currency_code text NOT NULL
        CONSTRAINT products_currency_fkey REFERENCES shop.currencies (code),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT products_name_not_blank CHECK (btrim(name) <> ''),
    CONSTRAINT products_price_not_negative CHECK (price_minor >= 0)
);

CREATE TABLE shop.orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL
        CONSTRAINT orders_customer_fkey REFERENCES shop.customers (id),
    currency_code text NOT NULL
        CONSTRAINT orders_currency_fkey REFERENCES shop.currencies (code),
    placed_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE shop.order_lines (
    order_id bigint NOT NULL
        CONSTRAINT order_lines_order_fkey REFERENCES shop.orders (id) ON DELETE CASCADE,
    product_id bigint NOT NULL
        CONSTRAINT order_lines_product_fkey REFERENCES shop.products (id),
    quantity integer NOT NULL,
    unit_price_minor bigint NOT NULL,
    PRIMARY KEY (order_id, product_id),
    CONSTRAINT order_lines_quantity_positive CHECK (quantity > 0),
    CONSTRAINT order_lines_price_not_negative CHECK (unit_price_minor >= 0)
);

-- Reference data is schema: foreign keys and code count on these rows, so they come
-- in the transaction that makes their table. Test data does not belong in a file.
INSERT INTO shop.currencies (code, minor_digits)
VALUES
    ('CHF', 2),
    ('EUR', 2),
    ('JPY', 0),
    ('USD', 2);

-- No CASCADE: a table that somebody else put here stops us, and is not lost.
-- +goose Down
DROP TABLE shop.order_lines;
DROP TABLE shop.orders;
DROP TABLE shop.products;
DROP TABLE shop.customers;
DROP TABLE shop.currencies;
DROP SCHEMA shop;
