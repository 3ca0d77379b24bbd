-- +goose Up
-- +goose ENVSUB ON
-- $1 in a dropped comment
SELECT '$A', ${UNSET:-'d'} -- $A
  , '${A:1:2}', '\$A', '$$';
SELECT $SEMI
-- +goose StatementBegin
SELECT '$LINES';
-- +goose ENVSUB OFF
SELECT $1;
-- +goose StatementEnd
-- +goose Down
SELECT '$A';
