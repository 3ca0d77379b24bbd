-- +goose Up
CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$
BEGIN
  -- +goose Down
  RETURN 1;
END $body$;
CREATE FUNCTION g(a text DEFAULT ';') RETURNS text
BEGIN ATOMIC
  SELECT CASE WHEN a = ';' THEN 'end' ELSE (CASE WHEN true THEN 'x' END) END AS end;
  SELECT a;
END;
/* between; */ SELECT E'it\'s;', U&"a;", $1$x$;$x$ /* last
*/ ; SELECT 2
-- +goose Down
DROP FUNCTION f; ; DROP FUNCTION g
