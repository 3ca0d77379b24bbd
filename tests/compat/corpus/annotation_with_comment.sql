-- +goose Up -- first
SELECT 1;
