-- +goose Up
COPY t (a, b) FROM stdin;
1	one;
\.
-- +goose Down
DELETE FROM t;
