-- +goose Up
-- dropped

SELECT 1, -- kept
-- kept

  2;
-- dropped
SELECT 3; -- kept
-- dropped
