-- +goose Up
-- +goose ENVSUB ON
SELECT 1;
 
-- +goose Down
-- $1
SELECT 2;
