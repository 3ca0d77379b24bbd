-- +goose Up
INSERT INTO t VALUES ('a;
b');
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  RETURN 1;
END $$;
CREATE RULE r AS ON INSERT TO t DO (
  SELECT 1;
  SELECT 2);
CREATE FUNCTION g() RETURNS int BEGIN ATOMIC
  SELECT 1;
END;
DELETE FROM t /* all;
but one */ WHERE a = 1;
DELETE FROM t WHERE a = 5--only five;
  AND b = 1;
SELECT 'x; -- y'
FROM t;
-- +goose StatementBegin
-- nothing
-- +goose StatementEnd
SELECT 'lost by goose';
--+GOOSE DOWN
DROP TABLE t;
