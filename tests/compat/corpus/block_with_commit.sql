-- +goose Up
-- +goose StatementBegin
CREATE TABLE a (id int);
-- c
COMMIT;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP TABLE a; END WORK
-- +goose StatementEnd
