-- +goose Up
SELECT 1;--c
SELECT 2;
-- +goose Down
SELECT 1; /* c */
