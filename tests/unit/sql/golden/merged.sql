-- +goose Up
-- +goose NO TRANSACTION
SELECT 1; SELECT 2;
CREATE INDEX CONCURRENTLY i ON t (a);--first
CREATE INDEX CONCURRENTLY j ON t (b);
-- +goose StatementBegin
SELECT 1;
VACUUM t;
-- +goose StatementEnd
-- +goose Down
SELECT 1;--c
SELECT 2;
