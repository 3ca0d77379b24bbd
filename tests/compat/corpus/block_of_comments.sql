-- +goose Up
-- +goose StatementBegin
-- nothing
-- +goose StatementEnd
SELECT 1;
SELECT 2;
-- +goose Down
-- +goose StatementBegin

-- +goose StatementEnd
-- +goose StatementBegin
SELECT 3;
-- +goose StatementEnd
