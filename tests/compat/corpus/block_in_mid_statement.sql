-- +goose Up
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
-- +goose StatementBegin
BEGIN
  RETURN 1;
END $$
-- +goose StatementEnd
SELECT 1;
