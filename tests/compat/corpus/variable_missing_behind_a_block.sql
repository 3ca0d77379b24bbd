-- +goose Up
-- +goose ENVSUB ON
-- +goose StatementBegin
SELECT 1;
-- +goose StatementEnd
SELECT '${UNSET?set it}';
-- +goose Down
SELECT 2;
