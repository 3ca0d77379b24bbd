-- +goose Up
INSERT INTO t VALUES ('a;
b');
-- +goose Down
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN 1;
END $$;
