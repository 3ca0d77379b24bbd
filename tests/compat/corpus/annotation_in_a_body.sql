-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  -- see +goose for more
  RETURN 1;
END $$;
-- +goose StatementEnd
