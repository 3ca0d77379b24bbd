-- café in Latin 1
-- +goose Up
SELECT 1;
-- +goose Down
SELECT 'café';
