-- +goose Up
-- +goose ENVSUB ON
CREATE TABLE ${SCHEMA}.t (a int);
SELECT
  $TWO_LINES,
  3;
-- +goose ENVSUB OFF
-- +goose StatementBegin
DO $$
-- +goose ENVSUB ON
BEGIN
  RAISE NOTICE '${SCHEMA:0:2} ${NONE-none}';
-- +goose ENVSUB OFF
END $$;
-- +goose StatementEnd
-- +goose Down
-- +goose ENVSUB ON
DROP TABLE $SCHEMA.t;
SELECT '${NONE?say who}';
