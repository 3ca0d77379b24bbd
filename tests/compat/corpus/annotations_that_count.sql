
-- a comment, then blanks
   
--+goose up
SELECT 1;
---- +goose no transaction --
SELECT 2;
-- +gooseStatementBegin
SELECT 3;
-- +goose STATEMENTEND
-- +goose down
SELECT 4;
