/* first */
-- +goose Up
SELECT 1;
