-- +goose Up
SELECT 1;
 
-- after blanks
